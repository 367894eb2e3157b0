"""Estimates on frames of now: measured by the calm before, one of a camera at a time, never by another model's trials."""

import dataclasses
import threading

import numpy as np
import pytest

from agent.drift.diagnosis.accuracy import HOLDS_SECONDS
from agent.drift.diagnosis.diagnose import Diagnosis
from agent.references.accuracy_estimator import AccuracyEstimator, Glance
from agent.references.accuracy_monitor import (
    CALM_SECONDS,
    AccuracyMonitor,
    estimate_fields,
    rounded_fields,
)
from tests.references.test_model_signals import Street, learnt

IMAGE = np.zeros((90, 160, 3), np.uint8)
GO_ON = threading.Event()


class Idle:
    """A box that is idle, with a drawn model on it that is hurt by so much."""

    def __init__(self, street):
        self.name, self.hurt, self.street = "m", 0.0, street

    def see(self, _stop, _camera, _image):
        return self.street.seen(self.street.frames(1), self.hurt)[0]


@pytest.fixture
def box():
    street, made = Street(3), []
    idle = Idle(street)
    estimator = AccuracyEstimator(idle, lambda *one: made.append(one))
    estimator.learnt("front", learnt(street).trials)
    return estimator, idle, made


def glance(calm=True, frames=12, camera="front", **cause):
    return Glance(camera=camera, images=(IMAGE,) * frames, calm=calm, **cause)


def test_a_drift_is_measured_by_the_calm_before_it(box):
    estimator, idle, made = box
    estimator.ask(glance())
    estimator.serve(GO_ON)
    estimator.ask(glance())
    estimator.serve(GO_ON)
    idle.hurt = 0.9
    estimator.ask(glance(calm=False))
    estimator.serve(GO_ON)
    (_, first), (_, calm), (camera, hurt) = made
    assert camera == "front"
    assert calm.trust > first.trust, "before that only what was learnt on was known"
    assert calm.ratio > 0.85
    assert hurt.ratio < 0.6


@pytest.mark.parametrize(
    ("calm", "cause", "told"),
    [
        pytest.param(False, {"explained": True, "found": 0.2}, True, id="fog that leaves a fifth"),
        pytest.param(
            False, {"explained": True, "found": None}, True, id="what the cause leaves is not known"
        ),
        pytest.param(False, {"explained": True, "found": 0.98}, False, id="a cause that leaves nearly all"),
        pytest.param(False, {"explained": False}, False, id="other objects"),
        pytest.param(True, {"explained": False}, True, id="nothing drifts"),
    ],
)
def test_of_a_drift_that_no_known_cause_explains_nothing_is_told(box, calm, cause, told):
    estimator, idle, made = box
    for _ in range(2):
        estimator.ask(glance())
        estimator.serve(GO_ON)
    idle.hurt = 0.9
    estimator.ask(glance(calm=calm, **cause))
    estimator.serve(GO_ON)
    assert made[-1][1].told is told, made[-1][1]


def test_the_newest_frames_of_a_camera_are_those_that_wait(box):
    estimator, _, made = box
    for frames in (3, 4, 5):
        estimator.ask(glance(frames=frames))
    estimator.serve(GO_ON)
    assert len(made) == 1


def test_nothing_is_estimated_without_trials_or_by_those_of_another_model(box):
    estimator, idle, made = box
    estimator.ask(glance(camera="back"))
    idle.name = "another"
    estimator.ask(glance())
    estimator.serve(GO_ON)
    idle.name = "m"
    estimator.learnt("front", None)
    estimator.ask(glance())
    few = dataclasses.replace(learnt(Street(1)).trials, classes={0: 1})
    estimator.learnt("front", few)
    estimator.serve(GO_ON)
    assert made == []


def test_calm_frames_are_looked_at_now_and_then_those_of_a_drift_always():
    asked = []
    monitor = AccuracyMonitor("front", 3, asked.append)
    monitor.window(calm=True, cause=None)
    for second in range(0, int(CALM_SECONDS) + 60, 10):
        if monitor.wants(1e9 + second):
            monitor.add(1e9 + second, IMAGE)
    assert [len(one.images) for one in asked] == [3, 3]
    assert all(one.calm for one in asked)
    monitor.window(calm=False, cause=Diagnosis(cause="population"))
    for second in range(90):
        at = 2e9 + second
        assert monitor.wants(at)
        monitor.add(at, IMAGE)
    assert len(asked) == 32
    assert not asked[-1].calm
    assert not asked[-1].explained
    monitor.window(calm=False, cause=Diagnosis(cause="fog", found_ratio=0.3))
    for second in range(3):
        monitor.add(3e9 + second, IMAGE)
    assert (asked[-1].explained, asked[-1].found) == (True, 0.3)


def test_an_estimate_holds_for_a_while_and_not_over_another_view(box):
    estimator, _, made = box
    estimator.ask(glance())
    estimator.serve(GO_ON)
    [(_, estimate)] = made
    monitor = AccuracyMonitor("front", 3, print)
    assert estimate_fields(monitor.last(1e9)) == {}
    monitor.estimated(estimate, 1e9)
    fields = estimate_fields(monitor.last(1e9 + 60))
    assert 0 <= fields["accuracy_estimate_low_ratio"] <= fields["accuracy_estimate_ratio"]
    assert monitor.last(1e9 + HOLDS_SECONDS) is None
    untold = dataclasses.replace(estimate, trust=0.04)
    assert estimate_fields(untold) == {"accuracy_estimate_trust": 0.04}, "a figure that tells nothing is none"
    assert rounded_fields(untold)["accuracy_estimate_ratio"] is None
    assert rounded_fields(untold)["accuracy_estimate_trust"] == 0.05
    monitor.clear()
    assert monitor.last(1e9 + 60) is None
