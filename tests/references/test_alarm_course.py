"""What an alarm is about while it is on, and what it was once it is over."""

import dataclasses

import pytest

from agent.core.types import Observation
from agent.drift.verdict import DriftVerdict, FeatureVerdict, Measured
from agent.references.alarm_course import ENDED_SECONDS, AlarmCourse

BEGAN = 1_800_000_000.0


def feature(name, sigmas, ratio=2.0):
    return FeatureVerdict(
        feature=name, aspect="location", score=9.0, limit=4.5, ratio=ratio, minutes=1.0, shift=1.0,
        distances={"ks": Measured(0.5, 0.2), "psi": Measured(0.9, 0.3)}, distance_minutes=4.0,
        now=(0.0, sigmas, 1.0), then=(-1.2815, 0.0, 1.2815),
    )  # fmt: skip


def verdict(minute, features, *, alarm=True, judged=True):
    return DriftVerdict(
        camera="front", start=BEGAN + 60 * (minute - 1), end=BEGAN + 60 * minute, judged=judged, reason="",
        provisional=False, ratio=2.0, familiar=False, joint=1.0, joint_limit=4.0, joint_minutes=1.0, hour=3,
        features=tuple(features), classes=None, alarm=alarm, alarm_since=BEGAN if alarm else None,
    )  # fmt: skip


def observed(course, verdict):
    given = [Observation(metric="drift.ratio", value=2.0, at=verdict.end, labels={"camera": "front"})]
    given.append(dataclasses.replace(given[0], metric="drift.joint_ratio"))
    ratio, other = course.described(given, verdict)
    assert (other.headline, other.ended) == ("", "")
    return ratio


def run(name, sigmas, minutes):
    course = AlarmCourse()
    for minute in range(minutes):
        observed(course, verdict(minute, [feature(name, sigmas)]))
    return course, observed(course, verdict(minutes, [feature(name, 0.1, 0.2)], alarm=False))


@pytest.mark.parametrize(
    ("name", "sigmas", "minutes", "words"),
    [
        (
            "brightness",
            8.0,
            12,
            "something large in view, or another light, for 10 min; brightness was up to 8 sigma off",
        ),
        (
            "boxes_per_frame",
            5.0,
            12,
            "unusual objects in view for 10 min; boxes per frame was up to 5 sigma off",
        ),
        ("confidence_mean", 4.0, 12, "something unknown to the model in view for 10 min"),
        ("brightness", 1.5, 12, "an unusual scene for 10 min"),
        ("brightness", 8.0, 182, "a drift for 3 h; brightness was up to 8 sigma off"),
    ],
)
def test_what_is_over_is_called_what_it_was(name, sigmas, minutes, words):
    _, last = run(name, sigmas, minutes)
    assert last.ended.startswith(words)
    assert last.ended.endswith("; it is over")
    assert last.headline == ""


def test_the_headline_grows_with_the_change():
    course = AlarmCourse()
    headlines = [
        observed(course, verdict(minute, [feature("brightness", sigmas)])).headline
        for minute, sigmas in enumerate((1.1, 4.0, 33.0))
    ]
    assert headlines == [
        "a clear change of brightness",
        "a large change of brightness",
        "an extreme change of brightness",
    ]
    assert observed(course, verdict(4, [], judged=False)).headline == ""


def test_an_end_is_described_for_a_while_and_not_that_of_an_alarm_before():
    course, _ = run("brightness", 8.0, 12)
    quiet = [feature("brightness", 0.1, 0.2)]
    assert "it is over" in observed(course, verdict(14, quiet, alarm=False)).ended
    assert observed(course, verdict(14 + ENDED_SECONDS / 60, quiet, alarm=False)).ended == ""
    course, _ = run("brightness", 8.0, 12)
    assert observed(course, verdict(14, [feature("noise", 3.0)])).ended == ""
