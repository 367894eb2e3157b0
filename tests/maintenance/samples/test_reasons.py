import math

import pytest

from agent.maintenance.samples.reasons import REASONS
from agent.maintenance.samples.view import SampleView
from tests.maintenance.samples.conftest import found

HERE, THERE = (10, 10, 30, 40), (50, 10, 70, 40)


def view(detections=None, **more):
    usual = {"before": None, "after": None, "moved": 0.0, "novelty": math.nan, "drifting": False}
    return SampleView(detections=detections or found(), **{**usual, **more})


def interest(reason, *args, **more):
    return REASONS[reason](view(*args, **more))


def test_an_empty_quiet_frame_is_of_no_interest():
    assert {name: reason(view()) for name, reason in REASONS.items()} == dict.fromkeys(REASONS, 0.0)


@pytest.mark.parametrize(("score", "expected"), [(0.25, 1.0), (0.325, 0.5), (0.4, 0.0), (0.95, 0.0)])
def test_a_score_near_the_threshold_counts_the_more_the_nearer_it_is(score, expected):
    assert interest("near_threshold", found((*HERE, score, 0))) == pytest.approx(expected, abs=1e-5)
    both = found((*HERE, score, 0), (*THERE, 0.99, 0))
    assert interest("near_threshold", both) == pytest.approx(expected, abs=1e-5), "the nearest one counts"


def test_an_object_that_is_missing_between_two_frames_blinks():
    one = found((*HERE, 0.8, 0))
    assert interest("blink", before=one, after=one) == pytest.approx(0.8)
    assert interest("blink", one, before=one, after=one) == 0.0
    assert interest("blink", found((12, 11, 33, 42, 0.4, 0)), before=one, after=one) == 0.0, (
        "it moved a little"
    )


def test_what_leaves_or_is_another_class_does_not_blink():
    one = found((*HERE, 0.8, 0))
    assert interest("blink", before=one, after=found()) == 0.0
    assert interest("blink", before=one, after=found((*THERE, 0.8, 0))) == 0.0
    assert interest("blink", before=one, after=found((*HERE, 0.8, 1))) == 0.0
    assert interest("blink", before=None, after=one) == 0.0


@pytest.mark.parametrize(("moved", "expected"), [(0.001, 0.0), (0.05, 0.5), (0.2, 1.0), (0.9, 0.0)])
def test_motion_without_a_detection_is_of_interest_but_not_noise_nor_a_moved_camera(moved, expected):
    assert interest("missed", moved=moved) == pytest.approx(expected)
    assert interest("missed", found((*HERE, 0.8, 0)), moved=moved) == 0.0


@pytest.mark.parametrize(
    ("novelty", "expected"), [(math.nan, 0.0), (0.9, 0.0), (1.5, 0.5), (7.0, 1.0), (math.inf, 1.0)]
)
def test_a_novel_frame_is_beyond_what_is_usual(novelty, expected):
    assert interest("novel", novelty=novelty) == pytest.approx(expected)


def test_every_frame_of_a_drift_is_of_interest():
    assert interest("drift", drifting=True) == 1.0
