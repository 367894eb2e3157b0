"""A reference that lives follows what is slow, forgets what is old, and takes in nothing that is not settled."""

import dataclasses
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.kll import Sketch
from agent.drift.evidence import UsualWindow
from agent.drift.judge import DriftJudge
from agent.drift.living import (
    HOUR_SECONDS,
    NEWEST,
    RENEW_SECONDS,
    SETTLE_SECONDS,
    NormalHour,
    NormalHours,
    blend,
    creep,
    renew,
)
from agent.drift.storage import from_json, to_json
from tests.drift.conftest import MIDNIGHT, NAMES, Camera

TOMORROW = MIDNIGHT + 26 * HOUR_SECONDS
DAY = 24 * HOUR_SECONDS


def normal_hour(start, camera, **change):
    rows = camera.rows(600, **change)
    sketches = [Sketch() for _ in NAMES]
    for sketch, column in zip(sketches, rows.T, strict=True):
        sketch.update(column)
    return NormalHour(
        start,
        HOUR_SECONDS,
        [each.compact(32) for each in sketches],
        np.zeros((5, 2)),
        Counter({0: 200, 2: 100}),
    )


def a_day(day, camera, **change):
    return [normal_hour(MIDNIGHT + DAY * day + HOUR_SECONDS * each, camera, **change) for each in range(24)]


def median(reference, number=0):
    return float(np.mean([each.sketches[number].quantiles([0.5])[0] for each in reference.hours.values()]))


@pytest.fixture(scope="module")
def week_old(day_reference):
    origin = dataclasses.replace(day_reference.origin, covered=7 * DAY)
    return dataclasses.replace(day_reference, origin=origin)


def test_a_day_counts_a_fifth_and_more_where_fewer_than_four_are_known(week_old, day_reference):
    before, camera = median(week_old), Camera(3)
    by_week = median(renew(week_old, a_day(2, camera, shift=1.0), TOMORROW, 0.0)) - before
    by_day = median(renew(day_reference, a_day(2, camera, shift=1.0), TOMORROW, 0.0)) - before
    assert by_week == pytest.approx(10 * NEWEST, abs=0.8), "a sigma is 10"
    assert by_day == pytest.approx(5.0, abs=1.2), "of two days each is a half"


def test_what_is_slow_is_followed_and_reported_against_the_anchor(week_old):
    reference, camera = week_old, Camera(3)
    for day in range(1, 29):
        hours = a_day(day, camera, shift=0.07 * day)
        reference = renew(reference, hours, MIDNIGHT + DAY * (day + 1), 0.0)
    behind = 10 * 0.07 * 28 - (median(reference) - median(week_old))
    assert 0.0 < behind < 5.0, "half a sigma at most behind what is there"
    farthest = creep(week_old, reference)[0]
    assert farthest.feature == "brightness"
    assert farthest.sigmas == pytest.approx(1.7, abs=0.4)
    assert farthest.now - farthest.then == pytest.approx(17.0, abs=3.0)
    assert max(abs(each.sigmas) for each in creep(week_old, reference)[1:]) < 0.4
    assert reference.origin.covered == 28 * DAY
    assert reference.origin.end - reference.origin.start <= 28 * DAY
    calm = DriftJudge(reference)
    start = MIDNIGHT + 29 * DAY + 9 * HOUR_SECONDS
    verdicts = [calm.judge(each, each.end) for each in Camera(8, start).windows(60, shift=0.07 * 28)]
    assert not any(each.alarm for each in verdicts)
    fixed = DriftJudge(week_old)
    assert any(fixed.judge(each, each.end).alarm for each in Camera(8, start).windows(60, shift=0.07 * 28))


def test_what_moves_by_a_sigma_in_a_week_runs_ahead_of_the_reference(week_old):
    reference, camera = week_old, Camera(3)
    for day in range(1, 8):
        reference = renew(reference, a_day(day, camera, shift=day / 7), MIDNIGHT + DAY * (day + 2), 0.0)
    # What is taken in is a day to two days old: by then it has moved on by a seventh to two.
    ahead = 10 * (1.0 + 1 / 7) - (median(reference) - median(week_old))
    assert ahead > 5.0, "half a sigma is an alarm within hours"


def test_a_reference_stays_as_wide_as_days_are_however_often_it_is_renewed(week_old):
    reference, camera = week_old, Camera(3)
    for day in range(1, 40):
        reference = renew(reference, a_day(day, camera)[9:12], MIDNIGHT + DAY * (day + 1), 0.0)
    truth = np.nanquantile(Camera(9).rows(40_000), [0.05, 0.95], axis=0)
    for number, name in enumerate(NAMES):
        low, high = reference.hours[10].sketches[number].quantiles([0.05, 0.95])
        assert high - low == pytest.approx(truth[1, number] - truth[0, number], rel=0.25), name
    boxes = reference.hours[10].sketches[2].weighted()[0]
    assert (boxes == np.rint(boxes)).all()
    assert reference.hours[3] is week_old.hours[3], "of what was not seen nothing changes"
    again = from_json(to_json(reference))
    assert again.id == reference.id
    assert len(to_json(reference)) < 1.2 * len(to_json(week_old))


def random_hour(start, random, shift=0.0):
    sketches = [Sketch() for _ in NAMES]
    for sketch in sketches:
        sketch.update((shift + random.standard_normal(1800)).astype(np.float32))
    return NormalHour(start, HOUR_SECONDS, [each.even(32) for each in sketches], np.zeros((5, 2)), Counter())


def level(reference):
    """The mean of all hours and features, in sigma."""
    every = [sketch.weighted() for hour in reference.hours.values() for sketch in hour.sketches]
    return float(np.mean([np.average(values.astype(float), weights=weights) for values, weights in every]))


@pytest.mark.parametrize("shift", [0.0, 0.04, -0.04])
def test_a_reference_goes_where_what_it_takes_in_is_however_small_the_change(week_old, shift):
    """All features lay 0.03 sigma below what was there after some days: alarms of all of them together."""
    random, hours = np.random.default_rng(5), {}
    for hour in week_old.hours:
        first = random_hour(0.0, random)
        hours[hour] = dataclasses.replace(week_old.hours[hour], sketches=tuple(first.sketches))
    reference = dataclasses.replace(week_old, hours=hours)
    for day in range(1, 21):
        taken = [random_hour(MIDNIGHT + DAY * day + HOUR_SECONDS * hour, random, shift) for hour in hours]
        reference = renew(reference, taken, MIDNIGHT + DAY * (day + 1), 0.0)
    assert level(reference) == pytest.approx(shift, abs=0.012)


def test_no_value_that_is_taken_in_lies_beyond_the_ends():
    """Ends that were means of each day's were narrower than any week, and its rare values off the scale."""
    random = np.random.default_rng(6)
    old = random_hour(0.0, random).sketches[0]
    for _ in range(30):
        new = random_hour(0.0, random).sketches[0]
        old = blend(old, new, NEWEST)
        assert old.minimum <= new.minimum < new.maximum <= old.maximum


def test_an_outlier_fades():
    old, new = Sketch(), Sketch()
    old.update(np.array([*np.linspace(0, 1, 200), 1e6], np.float32))
    new.update(np.linspace(0, 1, 200, dtype=np.float32))
    for _ in range(60):
        old = blend(old, new.compact(32), NEWEST)
    assert old.maximum < 5.0
    assert old.quantiles([0.5])[0] == pytest.approx(0.5, abs=0.05)


def filled(hours, camera=None):
    waiting, camera = NormalHours(), camera or Camera(4, MIDNIGHT)
    usual = None
    for _ in range(hours):
        for window in camera.windows(2):
            usual = usual or _usual(window)
            waiting.add(window, usual)
        camera.now += HOUR_SECONDS - 120.0
    return waiting


def _usual(window):
    return UsualWindow(counts=window.counts.astype(float), frames=30.0, steps=window.steps.astype(float))


def test_hours_are_taken_in_once_a_day_of_them_has_settled():
    waiting = filled(49)
    assert not waiting.take(MIDNIGHT + SETTLE_SECONDS + RENEW_SECONDS - 1)
    taken = waiting.take(MIDNIGHT + SETTLE_SECONDS + RENEW_SECONDS)
    assert [each.start for each in taken] == [MIDNIGHT + HOUR_SECONDS * each for each in range(24)]
    assert taken[0].seconds == 120.0
    assert len(waiting.hours) == 25
    assert not waiting.take(MIDNIGHT + SETTLE_SECONDS + RENEW_SECONDS)


def test_by_another_reference_nothing_is_left_to_be_taken_in():
    waiting = filled(49)
    waiting.discard()
    assert not waiting.take(MIDNIGHT + 10 * DAY)


def in_alarm(waiting, hours, began, now):
    """So many hours of an alarm that is on from `now`, a window each; its change seems to have begun at `began`."""
    camera = Camera(6, now)
    for _ in range(hours):
        for window in camera.windows(1):
            waiting.doubt(window, _usual(window), began)
        camera.now += HOUR_SECONDS - 60.0


def test_an_alarm_costs_what_may_hold_some_of_its_change_and_no_more():
    """A shower each third day kept a reference as it was for ever: each discarded the two days before it."""
    waiting, began = filled(49), MIDNIGHT + 44 * HOUR_SECONDS
    in_alarm(waiting, 3, began, MIDNIGHT + 49 * HOUR_SECONDS)
    for window in Camera(7, MIDNIGHT + 52 * HOUR_SECONDS).windows(1):
        waiting.add(window, _usual(window))
    left = [(each.start - MIDNIGHT) / HOUR_SECONDS for each in waiting.hours]
    assert left == [*range(38), 52], "six hours more than it seems to have lasted"


def test_a_day_that_was_judged_anew_and_found_normal_is_taken_in():
    waiting, now = filled(4), MIDNIGHT + 4 * HOUR_SECONDS
    in_alarm(waiting, 60, now - 8 * HOUR_SECONDS, now)
    assert len(waiting.doubtful) == 25, "what is kept of an alarm is bounded"
    over = now + 60 * HOUR_SECONDS
    waiting.trust(over - DAY)
    assert [each.start for each in waiting.hours] == [over - DAY + HOUR_SECONDS * each for each in range(24)]
    assert waiting.doubtful == []


def test_however_much_waits_a_day_that_is_trusted_leaves_it_as_bounded():
    waiting = filled(110)
    in_alarm(waiting, 30, MIDNIGHT + 1000 * DAY, MIDNIGHT + 110 * HOUR_SECONDS)
    waiting.trust(0.0)
    again = NormalHours.restore(json.loads(json.dumps(waiting.state())), len(NAMES))
    assert len(again.hours) == 96
    assert again.hours[-1].start == MIDNIGHT + 139 * HOUR_SECONDS


def test_where_the_clock_goes_back_in_an_alarm_no_hour_is_there_twice():
    waiting, now = filled(4), MIDNIGHT + 3 * HOUR_SECONDS
    in_alarm(waiting, 3, MIDNIGHT + 3000 * DAY, now)
    waiting.trust(MIDNIGHT)
    assert [each.start for each in waiting.hours] == [MIDNIGHT + HOUR_SECONDS * each for each in range(6)]
    assert NormalHours.restore(json.loads(json.dumps(waiting.state())), len(NAMES)).hours


STEP = st.one_of(
    st.tuples(st.just("add"), st.integers(1, 400)),
    st.tuples(st.just("doubt"), st.integers(1, 400)),
    st.tuples(st.just("trust"), st.integers(0, 3000)),
    st.tuples(st.just("take"), st.just(0)),
    st.tuples(st.just("restart"), st.just(0)),
    st.tuples(st.just("clock"), st.integers(-100_000, 100_000)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, max_size=25))
def test_whatever_alarms_and_clocks_do_hours_are_in_order_bounded_and_can_be_restored(steps):
    [window] = Camera(4, MIDNIGHT).windows(1)
    waiting, usual, now, normal = NormalHours(), _usual(window), MIDNIGHT, set()
    for what, by in steps:
        if what in {"add", "doubt"}:
            for _ in range(min(by, 40)):
                seen = dataclasses.replace(window, start=now, end=now + 60.0)
                if what == "add":
                    waiting.add(seen, usual)
                    normal.add(now // HOUR_SECONDS * HOUR_SECONDS)
                else:
                    waiting.doubt(seen, usual, now - 60.0 * by)
                now += 60.0 * by
        elif what == "trust":
            normal |= {each.start for each in waiting.doubtful}
            waiting.trust(now - 60.0 * by)
        elif what == "take":
            taken = waiting.take(now)
            assert all(each.start + HOUR_SECONDS <= now - SETTLE_SECONDS for each in taken)
        elif what == "restart":
            waiting = NormalHours.restore(json.loads(json.dumps(waiting.state())), len(NAMES))
        else:
            now = max(now + 60.0 * by, MIDNIGHT)
        starts = [each.start for each in waiting.hours]
        assert starts == sorted(set(starts))
        assert len(starts) <= 96
        assert len(waiting.doubtful) <= 25
        assert set(starts) <= normal, "never what was in an alarm"
    NormalHours.restore(json.loads(json.dumps(waiting.state())), len(NAMES))


def test_after_an_alarm_of_another_kind_nothing_of_it_is_taken_in():
    waiting, now = filled(4), MIDNIGHT + 4 * HOUR_SECONDS
    in_alarm(waiting, 30, now - 8 * HOUR_SECONDS, now)
    for window in Camera(7, now + 30 * HOUR_SECONDS).windows(1):
        waiting.add(window, _usual(window))
    waiting.trust(0.0)
    assert [each.start for each in waiting.hours] == [now + 30 * HOUR_SECONDS]


def test_where_the_clock_goes_back_what_lay_ahead_is_discarded_and_what_waits_is_bounded():
    waiting = filled(200)
    assert len(waiting.hours) <= 96
    for window in Camera(5, MIDNIGHT).windows(1):
        waiting.add(window, _usual(window))
    assert [each.start for each in waiting.hours] == [MIDNIGHT]


def test_what_waits_survives_a_restart_and_is_small():
    waiting = filled(48)
    text = json.dumps(waiting.state())
    assert len(text) / len(NAMES) < 13_000, "26 features take a third of a megabyte"
    again = NormalHours.restore(json.loads(text), len(NAMES))
    for there, here in zip(again.hours, waiting.hours, strict=True):
        assert (there.start, there.seconds, there.classes) == (here.start, here.seconds, here.classes)
        assert (there.log_steps == here.log_steps).all()
        for one, other in zip(there.sketches[:4], here.sketches[:4], strict=True):
            assert one.count == other.count
            assert one.quantiles([0.5])[0] == pytest.approx(other.quantiles([0.5])[0], rel=0.1)


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: state[0].pop("sketches"),
        lambda state: state[0].update(sketches=["AAAA"] * 5),
        lambda state: state[0].update(start=1e300),
        lambda state: state[0].update(seconds=-1),
        lambda state: state[0].update(log_steps="AAAA"),
        lambda state: state[0].update(classes={"x": 2}),
        lambda state: state[0].update(classes={"1": -2}),
        lambda state: state.reverse(),
        lambda state: state.append(7),
        lambda state: state.extend(state * 100),
    ],
)
def test_what_is_damaged_is_refused(damage):
    state = filled(3).state()
    damage(state)
    with pytest.raises(ValueError, match=r"`|sketch"):
        NormalHours.restore(state, len(NAMES))


def test_what_it_rests_on_are_the_hours_taken_in_and_none_between(day_reference, camera):
    """A weekend in alarm was not seen, although the days before and after it were."""
    hours = [*a_day(2, camera(5)), *a_day(9, camera(6))]
    made = renew(day_reference, hours, hours[-1].start + DAY, 0.0)
    first = int((MIDNIGHT + 2 * DAY) // HOUR_SECONDS)
    assert made.seen == (*day_reference.seen, *range(first, first + 24), *range(first + 168, first + 192))
    later = a_day(40, camera(7))
    assert (
        min(renew(made, later, later[-1].start + DAY, 0.0).seen) >= (MIDNIGHT + 13 * DAY) // HOUR_SECONDS - 24
    )
