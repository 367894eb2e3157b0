"""The synthetic camera: a real Camera, at its pace, that drifts as told and refuses nonsense with words."""

import threading
import time

import numpy as np
import pytest

from agent.app.kinds import KINDS
from agent.cameras.kinds.synthetic.camera import SyntheticCamera, SyntheticOptions, parse_episode
from agent.cameras.kinds.synthetic.drawing.disturbances import DISTURBANCES
from agent.config.load import parse
from agent.core.errors import CameraError, ConfigError


def camera(**options):
    made = SyntheticCamera(
        "drawn", SyntheticOptions(**{"pace": "fast", "width": 320, "height": 180, **options})
    )
    made.open()
    return made


def test_the_same_seed_draws_the_same_pictures():
    one, two, other = camera(seed=5), camera(seed=5), camera(seed=6)
    for _ in range(3):
        a, b, c = one.read(), two.read(), other.read()
        assert np.array_equal(a.image, b.image)
        assert not np.array_equal(a.image, c.image)


def test_frames_are_numbered_stamped_and_read_only():
    made = camera()
    first, second = made.read(), made.read()
    assert (first.index, second.index) == (0, 1)
    assert second.monotonic_ns > first.monotonic_ns
    assert first.image.shape == (180, 320, 3)
    with pytest.raises(ValueError):
        first.image[0, 0] = 0


def test_real_pace_keeps_the_frame_rate():
    made = camera(pace="real", fps=50)
    started = time.monotonic()
    for _ in range(11):
        made.read()
    assert time.monotonic() - started > 0.19


def test_it_ends_after_its_length():
    made = camera(fps=2, length=2)
    assert [made.read() is None for _ in range(5)] == [False] * 4 + [True]


@pytest.mark.parametrize("name", sorted(set(DISTURBANCES) - {"frozen"}))
def test_every_disturbance_changes_the_picture_while_it_lasts(name):
    plain, disturbed = camera(fps=1, seed=9), camera(fps=1, seed=9, drift=(f"{name}@2-4",))
    same = [np.array_equal(plain.read().image, disturbed.read().image) for _ in range(6)]
    assert same[:2] == [True, True]
    assert same[4:] == [True, True]
    if name == "other_objects":  # only where something passes
        return
    assert same[2:4] == [False, False]


def test_frozen_repeats_the_last_picture_exactly():
    made = camera(drift=("frozen@1-2",), fps=2)
    pictures = [made.read().image for _ in range(6)]
    assert np.array_equal(pictures[1], pictures[2])
    assert np.array_equal(pictures[2], pictures[3])
    assert not np.array_equal(pictures[3], pictures[4])


def test_strangers_are_drawn_but_are_no_boxes():
    made = camera(seed=2)
    known = sum(len(made._scene.draw(float(t), 12, 0).boxes) for t in range(0, 200, 5))
    strange = sum(len(made._scene.draw(float(t), 12, 0, strangers=1.0).boxes) for t in range(0, 200, 5))
    assert known > 20
    assert strange == 0


def test_disturbances_are_switched_while_it_runs():
    made = camera()
    made.set_disturbance("black", 1.0)
    assert not made.read().image.any()
    made.set_disturbance("black", 0.0)
    assert made.read().image.any()
    with pytest.raises(ConfigError, match="did you mean 'fog'"):
        made.set_disturbance("fogg", 1.0)


def test_closing_ends_a_waiting_read():
    made = camera(pace="real", fps=0.1)
    made.read()
    threading.Timer(0.1, made.close).start()
    with pytest.raises(CameraError):
        made.read()
    with pytest.raises(CameraError):
        made.read()
    made.close()


@pytest.mark.parametrize("text", ["fog", "fog@", "fog@5-4", "fog@1:2", "fgo@3", "fog@1-2:0", ""])
def test_nonsense_is_refused_with_the_form(text):
    with pytest.raises(ConfigError) as caught:
        parse_episode(text)
    assert caught.value.expected


def test_a_wrong_script_is_told_with_its_line():
    text = '[[cameras]]\nname = "a"\nkind = "synthetic"\ndrift = ["smog@3"]\n'
    with pytest.raises(ConfigError, match=r"v\.toml:4: cameras\[0\]\.drift: unknown disturbance 'smog'"):
        parse(text, KINDS, file="v.toml")


def test_night_is_darker_than_noon():
    noon, night = camera(start_hour=12), camera(start_hour=0)
    assert noon.read().image.mean() > 2 * night.read().image.mean()
