"""What waits for the broker's answer: in order, each once, and disowned where it is dealt with already."""

from agent.core.types import Priority
from agent.delivery.mqtt.direct import DirectPublish
from agent.delivery.mqtt.unacknowledged import SentRow, Unacknowledged
from agent.delivery.outbox.rows import OutboxRow


def row(row_id, priority=Priority.SUMMARY):
    return OutboxRow(
        priority=priority, id=row_id, topic="camera/front", seq=row_id, retain=False, expiry=None, created=0.0,
        boottime=0.0, boot="b-1", start=0.0, window=60.0, span=0, weight=1, payload=b"{}", sketches=b"",
    )  # fmt: skip


def test_the_oldest_is_the_one_that_went_out_first_whatever_was_answered_since():
    waiting, first, second = (
        Unacknowledged(),
        SentRow(row(1), "a"),
        DirectPublish(topic="b", payload=b"12345"),
    )
    waiting.add(7, first)
    waiting.add(3, second)
    assert waiting.oldest() is first and len(waiting) == 2
    assert waiting.take(7) is first
    assert waiting.take(7) is None  # a broker that answers twice
    assert waiting.oldest() is second
    assert (first.key, first.size, second.key, second.size) == ((Priority.SUMMARY, 1), 2, "b", 5)


def test_an_alert_and_what_ends_its_copy_are_one_row_on_their_way():
    waiting, alert = Unacknowledged(), SentRow(row(1, Priority.ALERT), "alert/1", awaited=2)
    waiting.add(1, alert)
    waiting.add(2, alert)
    assert waiting.topic_in_use("alert/1") and not waiting.topic_in_use("alert/2")
    waiting.disown(alert)
    assert len(waiting) == 2  # the broker counts them
    assert not waiting.topic_in_use("alert/1") and waiting.oldest() is None
    assert waiting.take(1) is None and waiting.take(2) is None and not waiting


def test_another_outbox_disowns_all_rows_each_named_once_and_nothing_else():
    waiting, alert, other = Unacknowledged(), SentRow(row(1), "a", awaited=2), SentRow(row(2), "b")
    status = DirectPublish(topic="status", payload=b"{}")
    for mid, sent in enumerate([alert, other, alert, status]):
        waiting.add(mid, sent)
    assert waiting.disown_rows() == [alert, other]
    assert [waiting.take(mid) for mid in range(4)] == [None, None, None, status]
