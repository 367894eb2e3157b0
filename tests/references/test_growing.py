"""The reference of a day grows by what was judged normal, until it is one of a week."""

import dataclasses
import random
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from agent.core.errors import ReferenceMismatch
from agent.drift.contexts import HOURS
from agent.drift.sketch import Window
from agent.features import FEATURE_VERSION, FEATURES
from agent.references.growing import STEPS, Growing
from agent.references.recorder import ReferenceRecorder
from agent.references.store import DAYS, GROWING
from agent.references.writer import ReferenceWriter
from tests.references.conftest import NOON, SUBJECT, Source, sampled

HOUR, DAY = 3600.0, 86_400.0
HOURLY = dataclasses.replace(SUBJECT, window_seconds=HOUR)
FRAMES = 600


class Hours(Source):
    """Windows of an hour, so that days pass quickly."""

    def window(self, samples=FRAMES, **shift):
        vectors = self.random.normal(self.means, 2.0, (samples, len(FEATURES))).astype("float32")
        for name, sigmas in shift.items():
            vectors[:, FEATURES.index(name)] += 2.0 * sigmas
        collector = Window(self.camera, FEATURES, FEATURE_VERSION, interval=HOUR / FRAMES)
        collector.extend(vectors, [0, 0, 2], at=[self.now + HOUR / FRAMES * each for each in range(samples)])
        start, self.now = self.now, self.now + HOUR
        return collector.close(start, self.now), vectors


@pytest.fixture
def hours():
    return Hours()


@pytest.fixture
def young(room, hours):
    """A camera that has just recorded its first day by itself."""
    made = room(subject=HOURLY, reference_length=DAY)
    made.monitor.open(NOON)
    made.feed(hours, 24)
    assert made.monitor.stored.final
    return made


def days_of(made):
    """How many days the limits of the reference in force rest on."""
    return made.monitor.stored.reference.calibration.blocks / HOURS


def test_it_is_built_anew_of_two_three_five_and_seven_days_and_then_no_more(young, hours):
    first, rests_on, logged = young.monitor.stored.id, [], []
    for _ in range(8):
        with capture_logs() as logs:
            told = young.feed(hours, 24)
        assert {fields["drift_state"] for fields, _ in told} == {"normal"}
        logged += [each for each in logs if each["event"] == "reference in force" and each.get("grown")]
        rests_on.append(round(days_of(young)))
    assert rests_on == [2, 3, 3, 5, 5, 7, 7, 7]
    assert len(logged) == len(STEPS)
    ids = {version.id for version in young.store.versions("front")}
    assert {first, young.monitor.stored.id} <= ids, "a person can go back to the first day"
    assert len(ids) <= 3, "but not to each of those between"
    assert [young.store.read("front", name) for name in (*DAYS, GROWING)] == [None] * (len(DAYS) + 1)
    assert young.monitor.status()["growing"] is None


def test_what_is_recorded_of_days_is_what_a_recording_of_all_would_hold(young, hours):
    whole = ReferenceRecorder(HOURLY, made_by="auto", length=3 * DAY, started_at=NOON)
    again = Hours()
    for _ in range(72):
        window, vectors = again.window()
        whole.add(window, vectors, again.embeddings())
    young.feed(hours, 48)
    grown, plain = young.monitor.stored.reference, whole.make(NOON + 3 * DAY, final=True).reference
    assert (grown.origin.start, grown.origin.end) == (plain.origin.start, plain.origin.end)
    assert grown.seen == plain.seen
    assert grown.usual.frames == plain.usual.frames
    for feature in FEATURES:
        assert grown.whole(feature).count == plain.whole(feature).count
    assert grown.calibration.windows == plain.calibration.windows == 72
    assert young.monitor.stored.low == pytest.approx(whole.extremes.limits()[0])


def test_a_drift_is_never_recorded_and_costs_the_day_under_way(young, hours):
    young.feed(hours, 24 + 20)
    assert round(days_of(young)) == 2
    told = young.feed(hours, 40, contrast=-9, brightness=9, entropy=9)
    assert told[-1][0]["drift_state"] == "drift"
    assert round(days_of(young)) == 2
    assert young.monitor.status()["growing"]["covered"] == pytest.approx(2 * DAY, rel=0.03)
    while "drift" in {fields["drift_state"] for fields, _ in young.feed(hours, 1)}:
        pass
    young.feed(hours, 24)
    assert round(days_of(young)) == 3
    [low] = [young.monitor.stored.reference.whole("brightness").minimum]
    [high] = [young.monitor.stored.reference.whole("brightness").maximum]
    middle = hours.means[FEATURES.index("brightness")]
    assert middle - 12 < low < high < middle + 12, "nine sigma are 18"


def test_a_day_that_ended_shortly_before_an_alarm_is_discarded_but_never_the_recording(young, hours):
    young.feed(hours, 3)
    young.feed(hours, 3, contrast=-9, brightness=9, entropy=9)
    growing = young.monitor.status()["growing"]
    assert growing["covered"] == pytest.approx(DAY, rel=0.03)
    while "drift" in {fields["drift_state"] for fields, _ in young.feed(hours, 1)}:
        pass
    young.feed(hours, 24 * 2 - 1)
    assert round(days_of(young)) >= 2


def test_it_goes_on_over_a_restart(young, hours):
    young.feed(hours, 24 + 12)
    young.monitor.save(hours.now)
    young.settle()
    young.new().open(hours.now)
    young.settle()
    young.feed(hours, 12)
    assert round(days_of(young)) == 3


def test_a_power_cut_after_it_has_grown_costs_nothing_that_was_known(young, hours):
    young.feed(hours, 12)
    young.monitor._judging._judge._patience.ended()
    young.feed(hours, 13)
    raised = young.monitor._judging._judge._patience.factor
    with capture_logs() as logs:
        young.new().open(hours.now)
    assert not [each for each in logs if each["log_level"] == "warning"]
    assert young.monitor._judging._judge._patience.factor == pytest.approx(raised) != 1.0


def test_an_alarm_that_goes_on_while_it_is_built_stays_on(young, hours):
    """The judge begins anew: the alarm would have been resolved by the longer reference."""
    young.feed(hours, 11 + 12)
    young.monitor.process(
        sampled(*hours.window()), hours.now
    )  # it is due, and the writer has still to build it
    assert young.monitor._taking_in
    while young.monitor._judging.calm():
        young.monitor.process(sampled(*hours.window(brightness=9, contrast=-9)), hours.now)
    with capture_logs() as logs:
        young.settle()
    assert "an alarm has gone on meanwhile" in str([each.get("error") for each in logs])
    assert round(days_of(young)) == 1
    assert not young.monitor._judging.calm()
    while not young.monitor._judging.calm():
        young.feed(hours, 1)
    young.feed(hours, 24)
    assert round(days_of(young)) == 2


def test_one_that_a_person_puts_in_force_while_it_is_built_stays(young, hours):
    young.feed(hours, 11 + 12)
    young.monitor.process(sampled(*hours.window()), hours.now)
    stored = young.monitor.stored
    origin = dataclasses.replace(stored.reference.origin, made_at=hours.now)
    chosen = dataclasses.replace(stored, reference=dataclasses.replace(stored.reference, origin=origin))
    young.store.put("front", chosen)
    young.settle()
    assert young.store.load("front").id == chosen.id


def test_what_has_become_familiar_stays_so(young, hours):
    young.feed(hours, 12)
    young.monitor._judging._judge._patience.ended()
    before = young.monitor._judging._judge
    before._passing.add(young.monitor._judging._judge._remembered.memory[..., 3], NOON, NOON + HOUR, HOUR)
    raised = before._patience.factor
    young.feed(hours, 12)
    judge = young.monitor._judging._judge
    assert judge is not before
    assert 1.0 < judge._patience.factor <= raised
    assert len(judge._passing.kept) == 1


@pytest.mark.parametrize("what", ["accept", "record", "import"])
def test_days_of_another_normal_are_discarded(young, hours, what):
    young.feed(hours, 12)
    if what == "accept":
        young.monitor.accept(hours.now - 11 * HOUR, hours.now, by="ann", why="new lamp")
        young.settle()
    elif what == "record":
        young.monitor.record(DAY, hours.now)
        young.feed(hours, 24)
    else:
        other = dataclasses.replace(young.monitor.stored, low=young.monitor.stored.low)
        origin = dataclasses.replace(other.reference.origin, made_at=hours.now)
        young.store.put(
            "front", dataclasses.replace(other, reference=dataclasses.replace(other.reference, origin=origin))
        )
        young.monitor.reload(hours.now)
        young.settle()
    young.settle()
    covered = young.monitor.status()["growing"]["covered"]
    assert covered == pytest.approx(DAY if what == "record" else 0.0, rel=0.03)
    assert (young.store.read("front", DAYS[0]) is not None) == (what == "record")
    young.feed(hours, 49 if what != "accept" else 49 + 24)  # it goes on being taken in for a day
    assert round(days_of(young)) == (3 if what == "record" else 2), (
        "and those of the new one count from then on"
    )


def test_a_clock_that_goes_back_leaves_nothing_of_the_future(young, hours):
    right = hours.now
    hours.now += 10 * 365 * DAY
    young.feed(hours, 5)
    hours.now = right
    young.feed(hours, 24)
    assert young.monitor.stored.reference.origin.end <= hours.now
    assert round(days_of(young)) == 2


@pytest.mark.parametrize("text", ["{", "[]", '{"reference": 1}', '{"days": 7}', "null"])
def test_a_damaged_state_stops_nothing(young, hours, text):
    young.feed(hours, 6)
    young.store.write("front", GROWING, text)
    young.new().open(hours.now)
    young.settle()
    assert young.feed(hours, 1)[0][0]["drift_state"] == "normal"
    assert young.monitor.status()["growing"]["covered"] == HOUR


def test_a_full_disk_has_no_reference_built_again_and_again(room, hours, monkeypatch):
    """The reference was in force, and its first day could not be written: it was built anew at each window."""
    made = room(subject=HOURLY, reference_length=DAY)
    write = made.store.write

    def full(camera, name, text):
        if name in DAYS:
            raise OSError(28, "No space left on device")
        write(camera, name, text)

    monkeypatch.setattr(made.store, "write", full)
    made.monitor.open(NOON)
    with capture_logs() as logs:
        made.feed(hours, 30)
    assert made.monitor.stored.final
    assert len(made.store.versions("front")) == 1
    assert made.monitor.status()["recording"] is None
    [said] = [each for each in logs if each["log_level"] == "warning"]
    assert "No space left" in said["error"]
    assert made.monitor.status()["growing"]["covered"] == pytest.approx(6 * HOUR)


def test_days_that_are_not_on_disk_are_begun_anew_after_a_week(young, hours, monkeypatch):
    monkeypatch.setattr("agent.references.growing.STEPS", (7,))
    young.feed(hours, 5 * 24)
    young.store.delete("front", DAYS[2])
    young.feed(hours, 3 * 24)
    assert round(days_of(young)) == 1
    assert young.monitor.status()["growing"]["covered"] < 2 * DAY


def test_a_damaged_day_is_said_once_and_the_rest_goes_on(young, hours):
    young.feed(hours, 20)
    young.store.write("front", DAYS[0], "{")
    with capture_logs() as logs:
        young.feed(hours, 10)
    [said] = [each for each in logs if each["log_level"] == "error"]
    assert said["event"] == "cannot build the longer reference of camera front"
    assert round(days_of(young)) == 1


def test_switched_off_or_of_short_windows_nothing_is_kept(room, young, hours):
    off = room(subject=HOURLY, living_reference=False)
    off.monitor.open(hours.now)
    off.settle()
    off.feed(hours, 30)
    assert off.monitor.status()["growing"] is None
    short = Growing(
        dataclasses.replace(SUBJECT, window_seconds=2.0), young.store, ReferenceWriter(), enabled=True
    )
    assert not short.can_grow(young.monitor.stored)


def test_a_week_that_was_recorded_grows_no_more(young):
    reference = young.monitor.stored.reference
    week = dataclasses.replace(
        reference, calibration=dataclasses.replace(reference.calibration, blocks=7 * HOURS)
    )
    assert not young.monitor._growing.can_grow(dataclasses.replace(young.monitor.stored, reference=week))
    assert young.monitor._growing.can_grow(young.monitor.stored)
    assert not young.monitor._growing.can_grow(dataclasses.replace(young.monitor.stored, final=False))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_happens_the_days_that_are_known_are_on_disk(room, hours, seed):
    """Clocks that jump, restarts, alarms, acceptances, roll-backs and recordings, as they come."""
    chance, made = random.Random(seed), room(subject=HOURLY, reference_length=DAY)
    made.monitor.open(NOON)
    made.feed(hours, 24)

    def restart():
        if chance.random() < 0.6:  # else it was killed
            made.monitor.save(hours.now)
            made.settle()
        made.new().open(hours.now)

    def jump():
        hours.now += chance.choice([-5 * HOUR, -2 * DAY, 3 * DAY, 400 * DAY, -400 * DAY, HOUR / 2])

    happens = {
        lambda: made.feed(hours, chance.randint(1, 4), brightness=9, contrast=-9): 4,
        jump: 4,
        restart: 5,
        lambda: made.monitor.accept(hours.now - 9 * HOUR, hours.now, by="ann", why=""): 2,
        lambda: (made.store.roll_back("front"), made.monitor.reload(hours.now)): 1,
        lambda: made.monitor.record(DAY, hours.now): 1,
        lambda: made.feed(hours, chance.randint(1, 5)): 83,
    }
    for step in chance.choices(list(happens), list(happens.values()), k=150):
        with suppress(ReferenceMismatch):  # refused with a reason
            step()
        made.settle()
        days = made.monitor._growing._days
        assert [name for name in DAYS[: len(days)] if made.store.read("front", name) is None] == []
        assert [each.end for each in days] == sorted(each.end for each in days)
