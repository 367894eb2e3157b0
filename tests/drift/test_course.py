"""The course of a drift in drawn weeks: abrupt, gradual, each day, or not known."""

import numpy as np
import pytest

from agent.drift.course import DAY, Course, Minutes, course

START = 19_000 * DAY
MINUTE = 60.0


def week(shift, *, days=5.0, ratio=None, seed=1, light=True):
    """Two features that follow the daylight, a minute each, with a `shift` by day, and a ratio of drift by it."""
    times = START + np.arange(0, days * DAY, MINUTE)
    day = (times - START) / DAY
    random = np.random.default_rng(seed)
    values = random.standard_normal((len(times), 2))
    values += light * 20 * np.sin(2 * np.pi * day)[:, None]
    moved = shift(day)
    values += np.stack([moved, -0.5 * moved], axis=1)
    ratios = np.abs(moved) / 3 if ratio is None else ratio(day)
    return Minutes(times=times, values=values, ratios=ratios)


def at(day):
    return START + day * DAY


@pytest.mark.parametrize("light", [False, True])
@pytest.mark.parametrize("size", [3.0, 12.0, -6.0])
def test_a_step_is_abrupt_and_its_time_is_known(size, light):
    found = course(week(lambda day: size * (day >= 4.7), light=light), at(4.72))
    assert found.change == "abrupt"
    assert found.since == pytest.approx(at(4.7), abs=1800)
    assert not found.daily


@pytest.mark.parametrize("light", [False, True])
def test_what_grows_for_a_day_is_gradual_and_began_before_the_alarm(light):
    found = course(week(lambda day: 15 * np.clip(day - 3.8, 0, 1), light=light), at(4.6))
    assert found.change == "gradual"
    assert at(3.7) < found.since < at(4.3)


def test_a_drift_of_the_same_hours_each_day_comes_back():
    glare = week(lambda day: 9.0 * (np.abs(day % 1 - 0.7) < 0.04))
    assert course(glare, at(4.66)).daily
    once = week(lambda day: 9.0 * ((day >= 4.66) & (day < 4.74)))
    assert not course(once, at(4.66)).daily
    always = week(lambda day: 9.0 * (day > 0.1), ratio=lambda day: 3.0 * (day > 0.1))
    assert not course(always, at(4.66)).daily


@pytest.mark.parametrize(
    ("minutes", "since"),
    [
        (week(lambda day: 0 * day, days=0.05), at(0.01)),  # too little before
        (week(lambda day: 9.0 * (day >= 4.99)), at(4.9999)),  # too little since
        (week(lambda day: 0 * day, light=False), at(4.8)),  # nothing changed
        (Minutes(times=np.zeros(0), values=np.zeros((0, 2)), ratios=np.zeros(0)), at(1)),
        (Minutes(times=START + np.arange(500) * MINUTE, values=np.full((500, 3), np.nan), ratios=np.full(500, np.nan)), at(0.2)),
    ],
)  # fmt: skip
def test_where_too_little_is_known_nothing_is_said(minutes, since):
    assert course(minutes, since) == Course()


def test_a_feature_that_lacks_now_and_then_is_used_all_the_same():
    minutes = week(lambda day: 8.0 * (day >= 4.7))
    minutes.values[::7, 0] = np.nan
    minutes.values[:, 1] = np.nan
    assert course(minutes, at(4.72)).change == "abrupt"
