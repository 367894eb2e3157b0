"""What comes and goes with the hours of the day is one alarm."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.untrusted import BadInput
from agent.drift.daily import DAY_SECONDS, Daily

HOUR, WINDOW = 3600.0, 60.0


def followed(daily, hours, *, again=True, now=0.0):
    """Each begin of an alarm and each end, in hours; what raises it is on for so many hours and off for so many by turns.

    The first day is a Monday.
    """
    seen = []
    for number, length in enumerate(hours):
        began = None if number % 2 else now + WINDOW
        for _ in range(round(length * HOUR / WINDOW)):
            now += WINDOW
            before = daily.since
            daily.step(began, now, WINDOW, int(now // DAY_SECONDS % 7 >= 5), again=again)
            if daily.since != before:
                seen.append(round((now if daily.since is None else daily.since) / HOUR, 1))
    return seen


def test_ten_days_of_ten_hours_are_two_alarms_and_the_second_is_over_a_day_after_the_last():
    assert followed(Daily(), [10, 14] * 10 + [0, 24]) == [0, 10, 24, 24 * 9 + 10 + 24]


def test_after_a_weekend_it_is_still_known_to_be_daily():
    week = [10, 14] * 4 + [10, 62]
    assert followed(Daily(), week * 2) == [0, 10, 24, 96 + 10 + 24, 168, 168 + 96 + 10 + 24]


@pytest.mark.parametrize(
    ("hours", "again"),
    [([1, 23] * 3, True), ([6, 18] * 3, True), ([10, 26] * 3, True), ([10, 14] * 3, False)],
    ids=["an event", "an event of six hours", "away for more than a day", "something else each day"],
)
def test_what_is_not_daily_is_over_when_it_ends(hours, again):
    assert len(followed(Daily(), hours, again=again)) == 6


def test_what_stays_away_for_a_day_of_its_kind_is_not_daily_any_more():
    """Rain every other night for half a day: each was known to be daily, a new alarm, and no event to be learnt."""
    daily = Daily()
    followed(daily, [10, 14, 10, 40, 10])
    assert not daily.daily
    weekend = Daily()
    followed(weekend, [10, 14] * 4 + [10, 62, 10])
    assert weekend.daily, "a weekend tells nothing of what is there on working days"
    twice = Daily()
    followed(twice, [10, 24 * 7 - 20, 10], now=5 * DAY_SECONDS)
    assert not twice.daily, "on a Saturday and on the next: not within a day"


def test_something_else_in_a_pause_is_another_alarm():
    daily = Daily()
    followed(daily, [10, 14, 10, 14])
    assert daily.since == 24 * HOUR + WINDOW
    assert daily.pause_ends == pytest.approx((34 + 24) * HOUR, abs=2 * WINDOW)
    daily.step(48 * HOUR + WINDOW, 48 * HOUR + WINDOW, WINDOW, 0, again=False)
    assert daily.since == 48 * HOUR + WINDOW
    daily.step(None, 60 * HOUR, 12 * HOUR, 0, again=False)
    assert daily.since is None


def test_a_daily_alarm_that_is_away_for_more_than_a_week_begins_anew():
    daily = Daily()
    followed(daily, [10, 14, 10, 24 * 8])
    assert followed(daily, [10, 14], now=300 * HOUR) == [300, 310]


def test_a_pause_ends_with_the_first_window_after_a_day_also_after_an_outage():
    daily = Daily()
    followed(daily, [10, 14, 10, 1])
    daily.step(None, 35 * HOUR + 2 * DAY_SECONDS, 2 * DAY_SECONDS, 0, again=False)
    assert daily.since is None
    assert daily.pause_ends is None


@pytest.mark.parametrize("back", [2 * HOUR, 10 * 365 * DAY_SECONDS])
def test_a_clock_that_was_ahead_leaves_no_pause_for_years(back):
    daily = Daily()
    followed(daily, [10, 14, 10, 1], now=back)
    assert daily.since is not None
    daily.step(None, 34 * HOUR, WINDOW, 0, again=False)
    assert daily.since is None
    daily.step(35 * HOUR, 35 * HOUR, WINDOW, 0, again=True)
    assert not daily.daily


@given(
    st.lists(
        st.tuples(st.sampled_from([60.0, HOUR, -HOUR, DAY_SECONDS, 1e8, -1e8]), st.booleans(), st.booleans())
    ),
)
def test_whatever_the_clock_does_a_pause_lasts_for_a_day_at_most_and_can_be_restored(steps):
    """An alarm that ended after the clock had gone back lasted less than nothing, and cost all that the judge knew."""
    daily, now, began = Daily(), 2e9, None
    for passed, turns, again in steps:
        now = max(now + passed, 0.0)
        if turns:
            began = now if began is None else None
        daily.step(began, now, max(passed, WINDOW), 0, again=again)
        assert daily.since is not None or began is None
        assert daily.pause_ends is None or 0.0 < daily.pause_ends - now <= DAY_SECONDS
        assert Daily.restore(json.loads(json.dumps(daily.state()))) == daily


def test_it_goes_on_after_a_restart_also_in_a_pause():
    whole, hours = Daily(), [10, 14, 10, 20]
    for place in range(len(hours) + 1):
        daily = Daily()
        now = sum(hours[:place]) * HOUR
        followed(daily, hours[:place])
        again = Daily.restore(json.loads(json.dumps(daily.state())))
        assert again == daily
        if not place % 2:
            followed(again, hours[place:], now=now)
    followed(whole, hours)
    assert again.since == whole.since is not None


@pytest.mark.parametrize(
    "damage",
    [{"since": -1.0}, {"began": "x"}, {"ended": 1e30}, {"lasted": -1}, {"daily": 2}, {"lasted": None}],
)
def test_what_is_damaged_is_refused(damage):
    with pytest.raises(BadInput):
        Daily.restore(Daily().state() | damage)
