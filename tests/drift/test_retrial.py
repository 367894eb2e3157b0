"""An alarm whose end would never be plain is over once a judge that begins anew would not raise it, for a whole day."""

import json

import numpy as np
import pytest

from agent.core.untrusted import BadInput
from agent.drift.daily import Daily
from agent.drift.judge import DriftJudge
from agent.drift.memory import AGES
from agent.drift.patience import Patience
from agent.drift.retrial import DAY_SECONDS, TIMES, TrialDay
from agent.drift.sketch import Window
from tests.drift.conftest import FRAMES, MIDNIGHT, NAMES, Camera, recorded, reference_of

WEEKDAY, WEEKEND = 0, 1
CONSTANT = NAMES.index("constant")
WINDOW = 600.0
A_DAY = round(DAY_SECONDS / WINDOW)


def trial(kind=WEEKDAY, age=1, limit=1.15):
    return TrialDay.of(kind, age, limit)


def tried(day, windows, kind=WEEKDAY, *, shows=True, ratio=0.0, higher=1.15):
    for _ in range(windows):
        day.step(kind, shows=shows, ratio=ratio, higher=higher)
    return day


def test_a_day_is_over_when_all_its_hours_were_judged():
    day = tried(trial(), A_DAY - 1)
    assert not day.complete(WINDOW)
    assert tried(day, 1).complete(WINDOW)


def test_days_of_another_kind_are_no_part_of_it_but_what_is_found_on_them_is_found():
    day = tried(trial(), 2 * A_DAY, WEEKEND)
    assert not day.complete(WINDOW)
    assert tried(day, 1, WEEKEND, ratio=1.2).found


def test_what_is_found_is_tried_by_higher_limits_until_these_are_the_highest():
    day = tried(trial(limit=1.15), 7)
    assert not day.step(WEEKDAY, shows=True, ratio=1.1, higher=1.32)
    assert day.step(WEEKDAY, shows=True, ratio=1.2, higher=1.32)
    assert day == trial(limit=1.32), "a whole day again"
    assert not day.step(WEEKDAY, shows=True, ratio=1.2, higher=1.52)
    assert not day.found
    assert not day.step(WEEKDAY, shows=True, ratio=1.4, higher=1.32), (
        "it was so large that no limit would rise"
    )
    assert day.found


def test_what_took_long_to_find_has_as_long_again_to_show_itself():
    day = tried(trial(age=A_DAY), A_DAY)
    assert not day.complete(WINDOW)
    assert not tried(day, 3 * A_DAY, shows=False).complete(WINDOW), "in windows in which it can"
    assert tried(day, (TIMES - 1) * A_DAY).complete(WINDOW)


def test_the_next_day_begins_with_nothing():
    assert tried(trial(WEEKEND, 5), 7, ratio=2.0).next() == trial(WEEKEND, 5)


def test_it_goes_on_from_what_was_saved_and_refuses_what_is_damaged():
    day = tried(trial(WEEKEND, 5), 7, ratio=2.0)
    state = json.loads(json.dumps(day.state()))
    assert TrialDay.restore(state) == day
    for damaged in ({}, {**state, "kind": 2}, {**state, "tried": -1}, {**state, "found": "yes"}):
        with pytest.raises(BadInput):
            TrialDay.restore(damaged)


# -- the judge ------------------------------------------------------------------------------------------------------


class Slow(Camera):
    """The camera with windows of ten minutes, so that days are short."""

    def windows(self, count, **change):
        collector = Window("front", NAMES, "1", interval=WINDOW / FRAMES)
        for _ in range(count):
            rows = self.rows(FRAMES, **change)
            collector.extend(
                rows, [0] * int(rows[:, 2].sum()), at=self.now + WINDOW / FRAMES * np.arange(FRAMES)
            )
            yield collector.close(self.now, self.now + WINDOW)
            self.now += WINDOW


@pytest.fixture(scope="module")
def reference():
    return reference_of(recorded(Slow(1), 3 * A_DAY), MIDNIGHT + 3 * DAY_SECONDS)


@pytest.fixture
def in_alarm(reference):
    """A judge in alarm for a change of which no window will ever say anything, and its camera."""
    camera, judge = Slow(2, MIDNIGHT + 3 * DAY_SECONDS), DriftJudge(reference)
    for window in camera.windows(8, feature=0, shift=5.0):
        judge.judge(window, window.end)
    assert judge.alarm
    judge._alarm.level[:] = 0.0
    judge._alarm.level[0, CONSTANT] = 1.0
    judge._retrial.day.least = 0  # it may show itself in no window, and so not in so many
    return judge, camera


def alarms(judge, camera, windows, **change):
    return [judge.judge(window, window.end).alarm for window in camera.windows(windows, **change)]


def test_an_alarm_of_which_nothing_says_anything_is_over_after_a_day_that_does_not_raise_it(in_alarm):
    """One of a count that gathers for half an hour before a ferry lasted for 590 hours."""
    on = alarms(*in_alarm, A_DAY + 10)
    assert 20 <= on.index(False) <= A_DAY
    assert not any(on[on.index(False) :])


def test_the_verdict_says_since_when_something_may_have_changed_and_that_a_day_was_calm(in_alarm, reference):
    judge, camera = in_alarm
    verdicts = [judge.judge(window, window.end) for window in camera.windows(A_DAY + 10)]
    over = [each.alarm for each in verdicts].index(False)
    assert [number for number, each in enumerate(verdicts) if each.calm_day] == [over]
    assert {each.normal_until is None for each in verdicts[over:]} == {True}
    judge, camera = DriftJudge(reference), Slow(2, MIDNIGHT + 3 * DAY_SECONDS)
    alarms(judge, camera, 20)
    changed = camera.now
    verdicts = [judge.judge(window, window.end) for window in camera.windows(12, feature=0, shift=5.0)]
    on = [each.normal_until for each in verdicts if each.normal_until is not None]
    assert on
    assert len(set(on)) == 1, "as it was when it was found"
    assert changed - 6 * 3600.0 < on[0] <= changed
    ended = [judge.judge(window, window.end) for window in camera.windows(40)]
    assert not ended[-1].alarm
    assert not any(each.calm_day for each in ended), "it was there, and is gone"


@pytest.mark.parametrize(
    ("hours", "calm"), [(25, True), (-2, False)], ids=["a day later", "the clock went back"]
)
def test_a_pause_was_a_calm_day_if_it_lasted_for_one(reference, hours, calm):
    judge, camera = DriftJudge(reference), Slow(2, MIDNIGHT + 3 * DAY_SECONDS)
    alarms(judge, camera, 4)
    judge._daily = Daily(since=camera.now - 40 * 3600.0, ended=camera.now, lasted=8 * 3600.0, daily=True)
    camera.now += hours * 3600.0
    [window] = camera.windows(1)
    verdict = judge.judge(window, window.end)
    assert (verdict.alarm, verdict.calm_day) == (False, calm)


def test_a_change_that_lasts_is_found_anew_each_day(in_alarm):
    judge, camera = in_alarm
    since = judge.alarm_since
    assert all(alarms(judge, camera, 2 * A_DAY + 20, feature=0, shift=5.0))
    assert judge.alarm_since == since
    assert not alarms(judge, camera, 4 * A_DAY)[-1], "over on the second working day without it at the latest"


def test_a_restart_within_the_day_changes_nothing(in_alarm, reference):
    judge, camera = in_alarm
    alarms(judge, camera, 60)
    again = DriftJudge(reference)
    again.restore(json.loads(json.dumps(judge.state())))
    for window in camera.windows(A_DAY - 40):
        assert judge.judge(window, window.end) == again.judge(window, window.end)
    assert not again.alarm


def test_the_state_of_a_version_without_it_begins_a_day(in_alarm, reference):
    judge, _ = in_alarm
    judge._alarm.age = 50_000
    state = judge.state()
    del state["retrial"]
    again = DriftJudge(reference)
    again.restore(state)
    assert again.alarm
    assert again._retrial.day == TrialDay.of(WEEKDAY, int(AGES[-1]), Patience().after(1.0)), (
        "no month of windows"
    )
