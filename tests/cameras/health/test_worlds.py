"""Health in a changing world, on real videos: rows of `benchmarks/health`, those that are short every time."""

from pathlib import Path

import pytest

from benchmarks.health.faults import Held, fog_ramp, fogged, hand, leaf, web
from benchmarks.health.run import Run, watch
from benchmarks.health.weather import glare, headlights, infrared_by_turns, toured, tree_shadows
from benchmarks.health.worlds import World

VIDEOS = Path(__file__).resolve().parents[4] / "shared" / "videos"
QUICK = Run(step=0.25, warm=30.0, width=320)
LEARNT = Run(step=0.25, warm=150.0, width=320)  # in the first two minutes all is learnt

pytestmark = pytest.mark.skipif(not VIDEOS.exists(), reason="needs the real videos")


def seen(world, video="car"):
    """What is seen of a world on a video."""
    return watch(VIDEOS / f"{video}-detection.mp4", world, QUICK)


def test_a_night_in_which_headlights_pass_is_no_fault_again_and_again():
    found = seen(World(name="night", change=headlights(0.1, 4, 40), minutes=4))
    assert found.names in ([], ["black"]), "once at the most, until it is known to be night"
    assert any("too dark to detect" in text for text in found.untold)


def test_while_the_sun_blinds_a_camera_it_says_what_cannot_be_told():
    found = seen(World(name="glare", change=glare(4, 600), minutes=3, allowed=("overexposed",)))
    assert set(found.names) <= {"overexposed"}
    assert any("too much glare to detect" in text for text in found.untold)


def test_a_switch_to_infrared_and_back_is_no_fault():
    assert seen(World(name="infrared", change=infrared_by_turns, minutes=7)).names == []


def test_a_frozen_picture_under_a_clock_that_ticks_is_frozen_and_says_so():
    found = seen(World(name="clock", change=Held(), minutes=1.5, expected=("frozen",)))
    assert found.names == ["frozen"]
    assert "burnt-in clock" in found.states[0].reason


def test_a_web_before_a_plain_view_is_an_obstruction():
    assert seen(World(name="web", change=web, minutes=4, expected=("obstructed",))).names == ["obstructed"]


@pytest.mark.parametrize("change", [web, tree_shadows(True, 4)], ids=["web", "shadows of a tree"])
def test_a_web_and_shadows_are_not_told_apart_and_that_is_said(change):
    found = watch(
        VIDEOS / "bottle-detection.mp4", World(name="over the view", change=change, minutes=4), LEARNT
    )
    told = sum(seconds for text, seconds in found.untold.items() if "web or dirt" in text)
    assert told > 180.0, "as long as it is there: it is not learnt along within minutes"


def test_a_soft_hand_is_an_obstruction_where_the_view_has_less_structure_than_noise():
    found = seen(World(name="hand", change=hand, minutes=4, expected=("obstructed",)), "bottle")
    assert found.names == ["obstructed"]


def test_a_tour_with_presets_of_12_s_is_learnt_though_cars_pass_before_them():
    found = seen(World(name="tour", change=toured(12), minutes=5))
    assert found.names == ["moved"]
    assert found.states[0].stood < 80.0, "two rounds"
    assert not any("web or dirt" in text for text in found.untold), (
        "the mean of a view has nothing of the last one"
    )


@pytest.mark.parametrize("video", ["bottle", "one-by-one-person"])
def test_a_leaf_before_the_lens_is_an_obstruction_whatever_is_learnt_along(video):
    found = seen(World(name="leaf", change=leaf, minutes=4, expected=("obstructed",)), video)
    assert found.names == ["obstructed"]


def test_fog_is_seen_though_cars_that_pass_before_it_have_contrast_of_their_own():
    world = World(name="fog", change=lambda image, _: fogged(image, 0.75), minutes=4, expected=("fogged",))
    assert seen(world).names == ["fogged"]


@pytest.mark.slow
@pytest.mark.parametrize("video", ["car", "bottle", "one-by-one-person"])
def test_a_tour_is_learnt_in_its_first_round(video):
    world = World(name="tour", change=toured(60), minutes=15)
    found = seen(world, video)
    assert found.names == ["moved"]
    assert found.states[0].stood < 180.0, "from the second round on it is known"


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("video", ["car", "bottle"])
def test_a_lens_that_fogs_within_half_an_hour_is_fogged(video):
    world = World(name="fog", change=fog_ramp(30, 0.85), minutes=34, expected=("fogged",))
    assert seen(world, video).names == ["fogged"]
