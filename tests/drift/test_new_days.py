"""An install on a Sunday meets the first working day: told once, then known; what lasts over a night is no rhythm."""

import json

import numpy as np
import pytest

from agent.core.untrusted import BadInput
from agent.drift.evidence import EDGES, Evidence
from agent.drift.judge import DriftJudge
from agent.drift.new_days import UNSEEN_TRUST, USUAL_THEN, NewDays
from tests.drift.conftest import MIDNIGHT, Camera, recorded, reference_of

DAY, HOUR = 86400.0, 3600.0
MONDAY = MIDNIGHT
KEY = 9  # a weekday, 9 to 10 h UTC
NOTHING = np.zeros((3, 2))
USUAL = np.full(2, 0.05)


def evidence(location, distance=0.0, windows=60):
    aspects = np.zeros((windows, 3, 2))
    aspects[:, 0] = location
    ranks = np.broadcast_to(np.clip(EDGES - distance, 0.0, 1.0), (windows, 2, EDGES.size))
    return Evidence(aspects=aspects, trust=np.ones((windows, 3, 2)), gate=np.ones(2), ranks=ranks)


def after(*days, alarms=()):
    """What is known when so many days have passed, each at 9 h at a location; an alarm was on for a while in some."""
    new = NewDays()
    for number, location in enumerate(days):
        new.turn(DAY * (number + 1), alarm=False)
        new.add(KEY, evidence(location))
        if number in alarms:
            new.turn(DAY * (number + 1) + HOUR, alarm=True)
    new.turn(DAY * (len(days) + 1), alarm=False)
    return new


def shown(new, location, key=KEY):
    return new.beyond(key, evidence(location, windows=1), NOTHING, USUAL)[0][0, 0, 0]


def test_before_any_such_day_is_over_only_what_is_large_counts():
    new = after()
    assert shown(new, 0.9) == 0.0
    assert shown(new, 3.0) == pytest.approx(3.0 - USUAL_THEN[0, 0])
    new.add(KEY, evidence(3.0))
    assert shown(new, 3.0) == pytest.approx(2.0), "the day is not over yet"


def test_the_first_such_day_is_known_when_it_is_over_at_its_hour_and_those_beside_it():
    new = after(3.0)
    assert [shown(new, 3.0, KEY + step) for step in (-1, 0, 1)] == [0.0] * 3
    assert shown(new, 3.0, KEY + 2) == pytest.approx(2.0)
    assert shown(new, 3.0, KEY + 24) == pytest.approx(2.0), "a weekend is another kind of day"
    assert shown(new, 0.0) == 0.0, "and what the reference saw stays usual"
    assert shown(new, 6.0) == pytest.approx(2.0)


def week(alarm_until, alarm_from=MONDAY + HOUR):
    """What is known after a mill's first week, Monday to Saturday evening, all of it alike, with one alarm."""
    new = NewDays()
    for now in np.arange(MONDAY, MONDAY + 5.8 * DAY, HOUR):
        new.turn(now, alarm=alarm_from <= now < alarm_until)
        if now < MONDAY + 5 * DAY:
            new.add(KEY, evidence(3.0))
        else:
            new.add(24 + KEY, evidence(0.0))
    return new.known


@pytest.mark.parametrize("late", [0.2, 2.0])
def test_days_at_whose_end_an_alarm_is_on_are_learnt_when_it_ends_as_their_kind_of_day_does(late):
    known = week(MONDAY + 5 * DAY + late * HOUR)
    assert KEY in known
    assert known[KEY][0] == pytest.approx(3.0)


@pytest.mark.parametrize("end", [2.5, 5.3, 5.7])
def test_an_alarm_that_ends_at_another_time_is_no_rhythm_and_its_days_are_not_learnt(end):
    """On Wednesday at noon, when somebody wiped the lens, the days from then on are as good as any."""
    known = week(MONDAY + end * DAY)
    assert (KEY in known) == (end < 5)


@pytest.mark.parametrize(("lasted", "learnt"), [(8.0, True), (23.0, True), (25.0, False)])
def test_an_alarm_over_midnight_that_lasted_less_than_a_day_came_and_went(lasted, learnt):
    """A depot that is loaded by night: each day by itself, as an hour of Monday is not that of the Tuesday after it."""
    new, began = NewDays(), MONDAY + 22 * HOUR
    for now in np.arange(MONDAY, began + (lasted + 0.5) * HOUR, HOUR / 4):
        new.turn(now, alarm=began <= now < began + lasted * HOUR)
        new.add(int(now % DAY // HOUR), evidence(3.0 if now >= began else 0.0, windows=15))
    assert (22 in new.known) == learnt
    assert not learnt or shown(new, 3.0, 2) == 0.0, "loaded at two in the night"
    assert not learnt or shown(new, 0.0, 2) == 0.0, "and not, as in the night to Monday"


def test_days_during_an_alarm_that_was_on_before_them_are_not_learnt():
    assert KEY not in week(MONDAY + 5.02 * DAY, alarm_from=MONDAY - DAY)


def test_a_gap_of_days_while_an_alarm_is_on_ends_the_waiting():
    new = NewDays()
    new.turn(MONDAY, alarm=False)
    new.add(KEY, evidence(3.0))
    new.turn(MONDAY + 3 * DAY, alarm=True)
    new.turn(MONDAY + 5 * DAY, alarm=False)
    assert not new.known


def test_what_creeps_without_an_alarm_does_not_widen_what_is_known():
    assert shown(after(2.0, 2.5, 3.0, 3.5), 4.0) == pytest.approx(1.0)
    assert shown(after(0.0, 3.0, alarms=[1]), 3.0) == 0.0, "a second kind of day that came and went"


def test_a_distribution_is_no_witness_where_it_was_another_on_such_a_day():
    """Else what chance adds to a known distance is an alarm by turns: 169 in a month of a shop."""
    new = NewDays()
    new.turn(DAY, alarm=False)
    new.add(KEY, evidence(0.0, distance=np.array([0.04, 0.2])[:, None]))
    new.turn(2 * DAY, alarm=False)
    found = new.beyond(KEY, evidence(0.0, 0.3, 1), NOTHING, USUAL)[1][0]
    assert np.abs(found - EDGES).max(axis=1) == pytest.approx([UNSEEN_TRUST * 0.3, 0.0])


def test_it_goes_on_from_what_was_saved_and_refuses_what_is_damaged():
    new = after(3.0)
    new.add(KEY, evidence(1.0))
    state = json.loads(json.dumps(new.state()))
    assert NewDays.restore(state, 2).state() == new.state()
    new.turn(MONDAY, alarm=False)
    new.add(KEY, evidence(1.0))
    new.turn(MONDAY + 23 * HOUR, alarm=True)
    new.turn(MONDAY + DAY, alarm=True)
    held = json.loads(json.dumps(new.state()))
    assert held["held_hours"] == [KEY]
    assert NewDays.restore(held, 2).state() == new.state()
    assert NewDays.restore(NewDays().state(), 2).state() == NewDays().state()
    for damaged in (
        {},
        {**state, "known_hours": [9, 9]},
        {**state, "hours": [48]},
        {**state, "sums": "AAAA"},
        {**state, "held_hours": [48]},
        {**state, "held_hours": [9]},
    ):
        with pytest.raises(BadInput):
            NewDays.restore(damaged, 2)


# -- a camera over a gate that is installed on a Sunday -------------------------------------------------------------


@pytest.fixture(scope="module")
def sunday():
    return reference_of(recorded(Camera(5, MONDAY - DAY), 1440), MONDAY)


def hours(judge, camera, day, begin, end, **change):
    """The verdicts from one hour to another of a day."""
    camera.now = MONDAY + DAY * day + HOUR * begin
    return [judge.judge(window, window.end) for window in camera.windows(int(60 * (end - begin)), **change)]


def working_day(judge, camera, day):
    """Seven to twelve; from eight to half past ten sharpness is up by four sigma."""
    quiet = hours(judge, camera, day, 7, 8)
    busy = hours(judge, camera, day, 8, 10.5, feature=1, shift=4.0)
    return [*quiet, *busy, *hours(judge, camera, day, 10.5, 12)]


def test_the_first_working_day_is_an_alarm_and_the_next_ones_are_not(sunday):
    judge, camera = DriftJudge(sunday), Camera(6)
    monday, tuesday = (working_day(judge, camera, day) for day in (0, 1))
    friday = hours(judge, camera, 4, 8, 9, feature=1, shift=4.0)
    assert any(each.alarm for each in monday)
    assert not monday[-1].alarm
    assert not any(each.alarm for each in (*tuesday, *friday))
    assert all(each.judged and each.provisional for each in friday)
    assert "saw no weekday" in friday[-1].reason


def test_what_is_larger_than_the_first_working_day_or_at_another_hour_is_an_alarm(sunday):
    judge, camera = DriftJudge(sunday), Camera(6)
    working_day(judge, camera, 0)
    again = DriftJudge(sunday)
    again.restore(json.loads(json.dumps(judge.state())))
    assert hours(judge, camera, 1, 8, 9, feature=1, shift=8.0)[-1].alarm
    assert hours(again, camera, 1, 18, 19, feature=1, shift=4.0)[-1].alarm


def test_a_fault_that_begins_on_a_monday_stays_an_alarm(sunday):
    judge, camera = DriftJudge(sunday), Camera(6)
    hours(judge, camera, 0, 7, 8)
    assert hours(judge, camera, 0, 8, 9, feature=1, shift=4.0)[-1].alarm
    later = [hours(judge, camera, day, 8, 9, feature=1, shift=4.0) for day in (1, 2)]
    assert all(each.alarm for verdicts in later for each in verdicts)
