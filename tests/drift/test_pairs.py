"""Pairs of features: a correlation that begins or ends is seen within an hour; what moves both at once is not one."""

import numpy as np
import pytest

from agent.drift.judge import DriftJudge
from agent.drift.pairs import learn_pairs, pairs_of
from agent.drift.pairs_seen import PairsSeen
from agent.drift.tail import fit_tails

FEATURES, WEEK, DAY = 8, 7 * 1440, 1440


def location(windows, seed=1, together=0.0, apart=False):
    """Window means of features of which 0 and 1 always go together, and 2 and 3 by `together`."""
    random = np.random.default_rng(seed)
    found = random.standard_normal((windows, FEATURES)) + 0.5 * np.cumsum(
        0.05 * random.standard_normal((windows, FEATURES)), axis=0
    )
    if not apart:
        found[:, 1] = 0.8 * found[:, 0] + 0.6 * found[:, 1]
    found[:, 3] = together * found[:, 2] + np.sqrt(1 - together**2) * found[:, 3]
    return found


@pytest.fixture(scope="module")
def week():
    return learn_pairs(location(WEEK), np.ones(WEEK))


def first_over(week, series):
    """The window at which a score is over the limit that is reached once in a year; None if none is."""
    pairs, tops = week
    (tail,) = fit_tails(tops, 7.0)
    memory, before = pairs.nothing(), series[0]
    for number, new in enumerate(series[1:]):
        memory, before = pairs.remember(memory, new - before), new
        if np.abs(pairs.scores(memory)).max() > tail.limit(1 / (365 * DAY)):
            return number + 1
    return None


def test_usual_correlations_are_learnt(week):
    first, second = pairs_of(FEATURES)
    expected = np.where((first == 0) & (second == 1), 0.8, 0.0)
    assert week[0].usual == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize("seed", range(3))
def test_features_that_begin_to_move_together_are_seen_within_two_hours(week, seed):
    assert first_over(week, location(120, seed=10 + seed, together=0.9)) is not None


def test_features_that_cease_to_move_together_are_seen(week):
    assert first_over(week, location(180, seed=20, apart=True)) is not None


def test_nothing_is_seen_in_a_week_without_change(week):
    assert first_over(week, location(WEEK, seed=30)) is None


@pytest.mark.parametrize("lasts", [1, 10, 200])
def test_what_moves_many_features_at_once_is_no_correlation(week, lasts):
    series = location(300, seed=40)
    series[50 : 50 + lasts, 2:] += 4.0
    assert first_over(week, series) is None


@pytest.mark.parametrize("often", [2, 5, 20])
@pytest.mark.parametrize("much", [(3.0,), (4.0, -1.0, 2.0)])
def test_what_moves_many_features_again_and_again_is_no_correlation(week, often, much):
    """Broken clouds, lorries: after a day without them each was an alarm, up to twice the limit."""
    series = location(400, seed=41)
    there = np.random.default_rng(5).random(400) < 0.5
    series[50:350, 2:] += np.resize(much, FEATURES - 2) * np.repeat(there[: 300 // often], often)[:, None]
    assert first_over(week, series) is None


def test_a_feature_that_never_moves_has_no_correlations():
    series = location(DAY)
    series[:, 4] = 7.0
    pairs, tops = learn_pairs(series, np.ones(DAY))
    assert np.isfinite(tops).all()
    first, second = pairs_of(FEATURES)
    still = (first == 4) | (second == 4)
    wild = pairs.remember(pairs.nothing(), np.full(FEATURES, 5.0))
    assert not pairs.scores(wild)[:, still].any()


def test_on_a_kind_of_day_never_seen_what_is_remembered_fades_and_no_movement_counts(week):
    seen, series = PairsSeen(week[0]), location(300, seed=50, together=0.9)
    for number, place in enumerate(series):
        seen.add(place, 1.0, known=number < 100)
    assert np.abs(week[0].scores(seen.memory)[0]).max() < 0.5
    seen.add(series[0] + 100.0, 1.0, known=True)
    assert np.abs(week[0].scores(seen.memory)[0]).max() < 0.5, "nor the step back to a day that is known"


def test_what_is_remembered_fades_to_the_usual_over_a_gap(week):
    pairs = week[0]
    moved = pairs.remember(pairs.nothing(), np.full(FEATURES, 2.0))
    assert pairs.rest(moved, 1e5) == pytest.approx(pairs.nothing())


def test_the_judge_raises_the_alarm_for_it_and_goes_on_after_a_restart(camera, day_reference):
    class Coupled(camera):
        def rows(self, frames, **change):
            rows = super().rows(frames, **change)
            rows[:, 1] = np.exp(4 + 0.08 * (rows[:, 0] - 100))
            return rows

    judge = DriftJudge(day_reference)
    verdicts = [
        judge.judge(window, window.end) for window in Coupled(6, start=day_reference.origin.end).windows(180)
    ]
    assert verdicts[5].pair.ratio < 1.0
    seen = next(verdict for verdict in verdicts if verdict.alarm)
    assert {seen.pair.first, seen.pair.second} == {"brightness", "sharpness"}
    assert seen.pair.correlation > 0.4 > abs(seen.pair.usual)
    again = DriftJudge(day_reference)
    again.restore(judge.state())
    (window,) = Coupled(7, start=verdicts[-1].end).windows(1)
    assert again.judge(window, window.end) == judge.judge(window, window.end)
