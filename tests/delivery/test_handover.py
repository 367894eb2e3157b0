"""What other threads hand over reaches the outbox in batches, at once where it is urgent, and survives a disk that refuses."""

import pytest

from agent.core.types import Draft, Priority
from agent.delivery.clock import WallClockWatch
from agent.delivery.handover import AGAIN_SECONDS, IDLE_SECONDS, Inbox, Intake
from agent.delivery.outbox.queue import BATCH_ROWS
from agent.delivery.outbox.recovery import OutboxRecovery
from tests.delivery.conftest import IDENTITY, FakeClock

INTERVAL = 2.0


class Delivery:
    """An intake over a real outbox on disk; while `refusing` nothing can be written."""

    def __init__(self, directory):
        self.safe = OutboxRecovery(
            directory / "outbox.db", size=10**7, identity=IDENTITY, clock=FakeClock(), patience=30.0
        )
        self.safe.open(0.0)
        self.inbox, self.sent, self.accepted, self.refusing = Inbox(), [], [], False
        self.intake = Intake(
            self.inbox, self.safe, INTERVAL,
            guard=self.guard, send=self.sent.append, on_accepted=self.accepted.extend,
        )  # fmt: skip

    def guard(self, step):
        if not self.refusing:
            step()
        return not self.refusing


@pytest.fixture
def delivery(tmp_path):
    delivery = Delivery(tmp_path)
    yield delivery
    delivery.safe.close()


def test_what_is_not_urgent_waits_for_the_interval_and_is_committed_together(delivery, drafts):
    delivery.inbox.put(drafts.camera())
    delivery.intake.commit_when_due(100.0)
    assert delivery.safe.outbox.depth == 0 and delivery.intake.wait_seconds(101.7) == pytest.approx(0.3)
    delivery.inbox.put(drafts.camera())
    delivery.intake.commit_when_due(101.9)
    assert delivery.safe.outbox.depth == 0
    delivery.intake.commit_when_due(102.0)
    assert delivery.safe.outbox.depth == 2 and len(delivery.accepted) == 2
    assert delivery.intake.wait_seconds(102.0) == IDLE_SECONDS  # nothing is due


def test_an_alert_is_on_disk_at_once_and_takes_along_what_waits(delivery, drafts):
    delivery.inbox.put(drafts.camera())
    delivery.intake.commit_when_due(100.0)
    delivery.inbox.put(drafts.alert("a"))
    delivery.intake.commit_when_due(100.1)
    assert delivery.safe.outbox.depth == 2


def test_more_than_a_batch_does_not_wait_either(delivery, drafts):
    for _ in range(BATCH_ROWS + 1):
        delivery.inbox.put(drafts.camera(sketches={}))
    delivery.intake.commit_when_due(100.0)
    assert delivery.safe.outbox.depth == BATCH_ROWS + 1 and not len(delivery.inbox)


def test_a_disk_that_refuses_costs_nothing_and_is_asked_again_soon(delivery, drafts):
    delivery.refusing = True
    for name in "abc":
        delivery.inbox.put(drafts.alert(name))
    delivery.intake.commit_when_due(100.0)
    assert (len(delivery.inbox), delivery.safe.outbox.depth, delivery.accepted) == (3, 0, [])
    assert delivery.intake.wait_seconds(100.0) >= AGAIN_SECONDS
    delivery.refusing = False
    delivery.intake.hurry(100.0)
    delivery.intake.commit_when_due(100.0)
    rows = delivery.safe.outbox.lease(Priority.ALERT, 10)
    assert [row.topic.rpartition("/")[2] for row in rows] == ["a", "b", "c"]
    assert len(delivery.accepted) == 3 and None not in delivery.accepted


def test_what_is_refused_for_good_is_told_as_none_beside_the_stamps_of_the_others(delivery, drafts):
    delivery.inbox.put(drafts.alert("a"))
    delivery.inbox.put(Draft(topic="no/#/topic", body={}, priority=Priority.ALERT))
    delivery.intake.commit_when_due(100.0)
    assert [stamp is None for stamp in delivery.accepted] == [False, True]


def test_what_is_not_durable_is_sent_past_the_disk(delivery):
    status = Draft(topic="status", body={"state": "online"}, priority=Priority.STATUS, durable=False)
    delivery.inbox.put(status)
    delivery.intake.commit_when_due(100.0)
    assert delivery.sent == [status] and delivery.safe.outbox.depth == 0


@pytest.mark.parametrize(("step", "set_"), [(59.0, False), (61.0, True), (-61.0, True), (1.8e9, True)])
def test_a_step_of_the_clock_is_noticed_once_and_passing_time_never(step, set_):
    clock = FakeClock()
    watch = WallClockWatch(clock)
    clock.pass_seconds(3600.0)  # asleep
    assert not watch.was_set()
    clock.now += step
    assert watch.was_set() is set_
    assert not watch.was_set()


def test_a_sync_that_moves_nothing_is_noticed_too():
    clock = FakeClock()
    clock.is_synced = False
    watch = WallClockWatch(clock)
    assert not watch.was_set()
    clock.is_synced = True
    assert watch.was_set() and not watch.was_set()
