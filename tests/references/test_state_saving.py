"""What is written to disk, and how often: a power cut costs half an hour, and flash is spared."""

import pytest
from structlog.testing import capture_logs

from agent.references.acceptance import Acceptance
from agent.references.growing import Growing
from agent.references.judging import WindowJudging
from agent.references.living import Living
from agent.references.reference_recording import ReferenceRecording
from agent.references.state_saving import (
    SAVE_RECENT_SECONDS,
    SAVE_RECORDING_SECONDS,
    SAVE_SECONDS,
    StateSaving,
)
from agent.references.store import JUDGE, LIVING, RECENT, RECORDING
from tests.references.conftest import NOON, SUBJECT, Source, recorded, sampled

MINUTE = 60.0


class Kept:
    """A camera's saving, and what it wrote under which name."""

    def __init__(self, room, stored):
        room = room()
        self.writes, self._stored, self._settle = [], stored, room.settle
        write = room.store.write
        room.store.write = lambda camera, name, text: (self.writes.append(name), write(camera, name, text))
        judging = WindowJudging(SUBJECT.camera, room.causes, 1.0)
        judging.use(stored)
        self.acceptance, self.file = (
            Acceptance(),
            lambda name: room.store.folder(SUBJECT.camera) / f"{name}.gz",
        )
        self.recording = ReferenceRecording(SUBJECT)
        self.recording.recorder = recorded(20)
        self.saving = StateSaving(
            SUBJECT,
            room.store,
            room.writer,
            judging=judging,
            recording=self.recording,
            acceptance=self.acceptance,
            living=Living(enabled=True),
            growing=Growing(SUBJECT, room.store, room.writer, enabled=False),
        )

    def minutes(self, begin, count):
        """What was written in so many windows from `begin` on, each of which asks for it."""
        self.writes.clear()
        for number in range(count):
            self.saving.save_if_due(self._stored, begin + number * MINUTE)
        return self.settled()

    def settled(self):
        self._settle()
        return sorted(self.writes)


@pytest.fixture
def kept(room, stored):
    return Kept(room, stored)


def test_the_first_window_after_a_start_is_kept_whole(kept):
    assert kept.minutes(NOON, 1) == sorted([JUDGE, LIVING, RECENT, RECORDING])


def test_what_was_judged_is_written_each_half_hour_the_recording_each_hour_and_what_was_seen_seldom(kept):
    kept.minutes(NOON, 1)
    written = kept.minutes(NOON + MINUTE, round(2 * SAVE_RECENT_SECONDS / MINUTE))
    assert written.count(JUDGE) == round(2 * SAVE_RECENT_SECONDS / SAVE_SECONDS)
    assert written.count(RECORDING) == round(2 * SAVE_RECENT_SECONDS / SAVE_RECORDING_SECONDS)
    assert (written.count(RECENT), written.count(LIVING)) == (2, 2)


def test_a_week_of_what_was_seen_costs_the_disk_little(kept):
    """Hourly, it was 13 MB a day of each camera."""
    source = Source(start=NOON - 7 * 86400.0, samples=4)
    for _ in range(7 * 24 * 12):
        kept.acceptance.add(sampled(*source.window(), source.embeddings(1)), alarmed=False)
        source.now += 4 * MINUTE  # each is in a block of its own
    kept.minutes(NOON, 1)
    written = kept.minutes(NOON + MINUTE, 24 * 60)
    size = kept.file(RECENT).stat().st_size
    assert size > 300_000
    assert written.count(RECENT) * size < 2_500_000


def test_a_clock_that_was_set_back_does_not_stop_it(kept):
    kept.minutes(NOON, 1)
    assert JUDGE in kept.minutes(NOON - 86400.0, 1)


def test_all_is_written_when_asked_for_and_a_recording_that_is_being_built_is_left_alone(kept):
    kept.minutes(NOON, 1)
    kept.writes.clear()
    kept.recording.building = True
    kept.saving.save_all(kept._stored, NOON + MINUTE)
    assert kept.settled() == sorted([JUDGE, LIVING, RECENT])


def test_what_was_saved_is_read_again_however_many_classes_a_model_has(room, stored):
    """A thousand classes an hour make more than a message may have; it was left aside after a start."""
    kept = Kept(room, stored)
    kept.minutes(NOON, 1)
    made = room()
    for name in (JUDGE, LIVING, RECENT):
        text = made.store.read(SUBJECT.camera, name)
        made.store.write(SUBJECT.camera, name, text + " " * (3 << 20))
    judging = WindowJudging(SUBJECT.camera, made.causes, 1.0)
    judging.use(stored)
    with capture_logs() as logs:
        judging.restore(made.store)
        Acceptance().restore(made.store, SUBJECT)
        Living(enabled=True).restore(made.store, SUBJECT.camera, stored)
    assert logs == []
