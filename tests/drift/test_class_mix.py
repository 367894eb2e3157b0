"""The class mix as evidence: as sure of itself as boxes are independent, and quick where the mix changes."""

import dataclasses

import numpy as np
import pytest

from agent.drift.calibrate import limits
from agent.drift.class_mix import ClassMix, learn_class_mix
from agent.drift.judge import DriftJudge
from agent.drift.memory import KEEP, fade
from agent.drift.tail import fit_tails

MIX = np.array([0.6, 0.3, 0.1])
MOVED = np.array([1.0, -1.0, 0.0])
DAY = 1440


def boxes(windows, mix=MIX, seed=1, objects=5.0, frames=20):
    """Boxes by class (and unknown: 0) of windows in which each object is seen in `frames` frames or so."""
    random = np.random.default_rng(seed)
    counts = np.zeros((windows, len(mix) + 1))
    for window in range(windows):
        kinds = random.choice(len(mix), random.poisson(objects), p=mix)
        np.add.at(counts[window], kinds, 1 + random.poisson(frames - 1, kinds.size))
    return counts


def hours(windows):
    return np.arange(windows) // 60 % 24


def learnt(counts, days):
    shares = np.tile(MIX, (len(counts), 1))
    return learn_class_mix(counts, shares, hours(len(counts)), np.ones(len(counts)), 24 * days)


@pytest.fixture(scope="module")
def week():
    return learnt(boxes(7 * DAY), 7)


def first_over(week, counts):
    """The window at which a score is over the limit that is reached once in ten years; None if none is."""
    mix, tops = week
    allowed = np.array([tail.limit(1 / (10 * 365 * DAY)) for tail in fit_tails(tops, 7.0)])
    filters, memory = mix.filters(7 * DAY // 4), np.zeros((1, len(MIX) + 1, KEEP.size))
    found = mix.evidence(counts, np.tile(MIX, (len(counts), 1)), hours(len(counts)))
    for number, new in enumerate(found):
        memory = fade(memory, new)
        if (ClassMix.tops(memory, filters) > allowed).any():
            return number + 1
    return None


@pytest.mark.parametrize(("objects", "frames"), [(5.0, 1), (5.0, 20), (40.0, 3)])
def test_a_window_counts_for_as_many_boxes_as_it_has_objects(objects, frames):
    counts = boxes(2000, objects=objects, frames=frames)
    a, rho = learnt(counts, 2)[0].overdispersion.mean(axis=0)
    usual = objects * frames
    assert usual / (a + rho * usual) == pytest.approx(objects, rel=0.25)


def test_boxes_that_are_all_alike_count_for_one_however_many_they_are():
    random = np.random.default_rng(4)
    counts = np.zeros((2000, 4))
    counts[np.arange(2000), random.choice(3, 2000, p=MIX)] = random.integers(2, 200, 2000)
    a, rho = learnt(counts, 2)[0].overdispersion.mean(axis=0)
    assert 100 / (a + rho * 100) == pytest.approx(1.0, rel=0.15)
    assert 20 / (a + rho * 20) == pytest.approx(1.0, rel=0.25)


def test_evidence_of_normal_windows_is_of_size_one(week):
    found = week[0].evidence(boxes(DAY, seed=9), np.tile(MIX, (DAY, 1)), hours(DAY))
    assert found[:, :3].std(axis=0) == pytest.approx(np.ones(3), abs=0.15)
    assert np.abs(found[:, :3].mean(axis=0)).max() < 0.12


@pytest.mark.parametrize("seed", range(3))
def test_thirty_points_are_seen_within_an_hour_and_ten_within_half_a_day(week, seed):
    assert first_over(week, boxes(60, MIX - 0.3 * MOVED, seed=20 + seed)) is not None
    assert first_over(week, boxes(720, MIX - 0.1 * MOVED, seed=30 + seed)) is not None


def test_nothing_is_seen_in_a_week_without_change(week):
    assert first_over(week, boxes(7 * DAY, seed=40)) is None


def test_a_class_that_the_reference_never_saw_is_seen(week):
    counts = boxes(60, seed=50)
    counts[:, 3] = counts[:, 0]  # one box in three
    assert first_over(week, counts) <= 30


def test_windows_without_boxes_and_hours_of_which_nothing_is_known_say_nothing(week):
    mix = week[0]
    assert not mix.evidence(np.zeros((2, 4)), np.tile(MIX, (2, 1)), np.array([0, 5])).any()
    assert not mix.evidence(boxes(2), np.full((2, 3), np.nan), np.array([0, 5])).any()


def test_rare_classes_are_judged_together():
    shares = np.append(np.full(10, 0.0998), 0.002)
    counts = np.random.default_rng(1).multinomial(50, [*shares, 0.0], DAY).astype(float)
    made, tops = learn_class_mix(counts, np.tile(shares, (DAY, 1)), hours(DAY), np.ones(DAY), 24)
    assert len(made.judged) == 8
    assert 10 not in made.judged
    assert tops.shape == (DAY, 9)


def test_the_judge_raises_the_alarm_for_it_and_goes_on_after_a_restart(camera, day_reference):
    judge, live = DriftJudge(day_reference), camera(5, start=day_reference.origin.end)
    ratios = [judge.judge(window, window.end).classes.ratio for window in live.windows(20)]
    assert max(ratios) < 1.0
    for window in live.windows(30, classes=(2, 2, 0)):
        verdict = judge.judge(window, window.end)
    assert verdict.classes.ratio > 1.0
    assert verdict.alarm
    again = DriftJudge(day_reference)
    again.restore(judge.state())
    (window,) = live.windows(1, classes=(2, 2, 0))
    assert again.judge(window, window.end) == judge.judge(window, window.end)


def test_a_reference_without_it_has_no_limit_of_it(day_reference):
    without = dataclasses.replace(
        day_reference.calibration, mix=None, tails=day_reference.calibration.tails | {"mix": ()}
    )
    assert limits(without, 1.0, 60.0).mix.size == 0
