"""The window: which messages are on their way, and which go next.

Laws:

1. At most `limit` publishes are unacknowledged (the smaller of our own limit and the broker's), all kinds together:
   what does not come from the outbox (status, standing alerts, replies) waits for room too, and goes first.
2. The most important priority goes first, so a fresh alert overtakes a backlog; within one, first come first
   go.
3. A row is removed when the broker acknowledged all of it with a code below 0x80; what it refuses for good is
   given up and counted; what it refuses for now holds its priority back for a while.
4. A summary or sketch that is older than two of its windows, and than two minutes, when it is handed to a
   connection goes to `replay/...`; so does what was merged. Alerts never do: they are states.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from agent.core.errors import PermanentDelivery
from agent.core.printable import printable
from agent.core.types import Priority
from agent.delivery.clock import Clock
from agent.delivery.messages import clears_retained
from agent.delivery.mqtt.connection import Acked, Connection, Opened
from agent.delivery.mqtt.direct import DirectPublish, DirectQueue
from agent.delivery.outbox.queue import DELIVERED_ROWS, Outbox
from agent.delivery.outbox.rows import OutboxRow, unpack
from agent.delivery.outbox.store import LANES

log = structlog.get_logger("vedette.delivery")

LATE_SECONDS = 120.0
LATE_WINDOWS = 2.0
LEASE_ROWS = 64
ACK_ROWS = 256
BUSY_SECONDS = 1.0
SETTLE_SECONDS = 90.0  # the windows of a minute take along what was delivered of the last
HOLD_SECONDS = 30.0
REFUSED = 0x80
NEVER = frozenset({0x90, 0x95, 0x99})  # topic name invalid, packet too large, payload format invalid
PACKET_OVERHEAD = 64  # fixed header, topic length, packet id, properties


@dataclass(slots=True)
class _Sent:
    row: OutboxRow
    awaited: int = 1


class InflightWindow:
    """Moves rows from one outbox through one connection at a time."""

    def __init__(
        self,
        outbox: Outbox,
        clock: Clock,
        *,
        prefix: str,
        in_flight: int,
        backlog_rate: float = 0.0,
        message_expiry: float = 0.0,
        discard: Callable[[str, Exception], None],
    ) -> None:
        self._outbox, self._clock, self._prefix, self._discard = outbox, clock, prefix, discard
        self._in_flight, self._rate = in_flight, backlog_rate
        self._message_expiry = message_expiry
        self._limit = in_flight
        self._opened: Opened | None = None
        self._next: dict[Priority, deque[OutboxRow]] = {lane: deque() for lane in LANES}
        self._held_until: dict[Priority, float] = {}
        self._sent: dict[int, _Sent] = {}
        self._extra: set[int] = set()
        self._direct = DirectQueue()
        self._acked: list[tuple[Priority, int]] = []
        self._acked_at = 0.0
        self._progress_at = 0.0
        self._tokens = 1.0
        self._tokens_at = 0.0
        self._last_refusal = ""
        self._refusals: dict[Priority, str] = {}
        self.delivered_total = 0

    def begin(self, opened: Opened, now: float) -> None:
        """A connection was opened."""
        self.end()
        self._refusals.clear()
        self._opened = opened
        self._limit = max(min(self._in_flight, opened.receive_maximum), 1)
        self._progress_at = now
        if opened.maximum_qos < 1:
            log.warning("the broker has no QoS 1: what it loses, nobody will know")

    def end(self) -> None:
        """The connection is gone: what was not acknowledged will be sent again."""
        self._sent.clear()
        self._extra.clear()
        self._direct.clear()
        self._held_until.clear()
        for lane in self._next.values():
            lane.clear()
        self._note_delivered()
        self._outbox.release()
        self._outbox.remove_delivered()

    def move_to(self, outbox: Outbox) -> None:
        """Use another outbox from now on; to be called while nothing is on its way."""
        self._acked.clear()
        for sent in {id(sent): sent for sent in self._sent.values()}.values():
            self._direct.drop(sent)
        self._extra |= self._sent.keys()  # they are on their way all the same
        self._sent.clear()
        for lane in self._next.values():
            lane.clear()
        self._outbox = outbox

    @property
    def on_the_way(self) -> int:
        """Publishes that wait for an acknowledgement."""
        return len(self._sent) + len(self._extra)

    @property
    def room(self) -> bool:
        """Whether another publish may go out, and none waits for that already."""
        return self.on_the_way < self._limit and not self._direct

    @property
    def idle(self) -> bool:
        """Whether nothing waits for an acknowledgement or for room."""
        return not self.on_the_way and not self._direct

    @property
    def refused(self) -> str:
        """What the broker does not let us publish at present, and why; "" where it takes everything."""
        return "; ".join(dict.fromkeys(self._refusals.values()))

    def stalled_seconds(self, now: float) -> float:
        """How long the broker has owed us an acknowledgement."""
        return now - self._progress_at if self.on_the_way else 0.0

    def publish_direct(
        self, topic: str, payload: bytes, *, retain: bool, correlation: bytes | None = None
    ) -> None:
        """Have `fill` send what is not in the outbox (status, info, standing alerts, replies)."""
        self._direct.put(DirectPublish(topic=topic, payload=payload, retain=retain, correlation=correlation))

    def fill(self, connection: Connection, now: float) -> None:
        """Send what waits beside, then rows, while the window has room."""
        self.fill_direct(connection, now)
        for lane in LANES:
            if self._held_until.get(lane, 0.0) > now:
                continue
            while self.on_the_way < self._limit:
                row = self._take(lane)
                if row is None:
                    break
                if not self._send(connection, row, now):
                    self._next[lane].appendleft(row)
                    break
            if self.on_the_way >= self._limit:
                return

    def fill_direct(self, connection: Connection, now: float) -> None:
        """Send what waits beside while the window has room."""
        while self._direct and self.on_the_way < self._limit:
            item = self._direct.take()
            self._progress_at = self._progress_at if self.on_the_way else now
            retain = item.retain and self._may_retain()
            try:
                mid = connection.publish(
                    item.topic, item.payload, retain=retain, qos=self._qos(), correlation=item.correlation
                )
            except PermanentDelivery as error:
                self._discard(f"send {printable(item.topic, 200)}", error)
                continue
            if item.belongs_to is None:
                self._extra.add(mid)
            else:
                self._sent[mid] = item.belongs_to

    def _take(self, lane: Priority) -> OutboxRow | None:
        rows = self._next[lane]
        if not rows and self._outbox.waiting(lane):
            rows.extend(self._outbox.lease(lane, LEASE_ROWS))
        return rows.popleft() if rows else None

    def _send(self, connection: Connection, row: OutboxRow, now: float) -> bool:
        """Send one row; False where it must wait for the backlog's rate."""
        age = row.age(wall=self._clock.wall(), boottime=self._clock.boottime(), boot=self._outbox.boot)
        late = is_late(row, age)
        if late and not self._may_replay(now):
            return False
        try:
            payload = unpack(row.payload)
        except ValueError as error:
            self._give_up(row, str(error))
            return True
        topic = f"{self._prefix}/{'replay/' if late else ''}{row.topic}"
        largest = self._opened.maximum_packet if self._opened else None
        if largest is not None and len(payload) + len(topic) + PACKET_OVERHEAD > largest:
            self._give_up(row, f"{len(payload)} bytes, the broker takes packets of {largest}")
            return True
        if row.expiry is not None and age >= row.expiry:
            self._give_up(row, f"expired after {row.expiry} s")
            return True
        if not self.on_the_way:
            self._progress_at = now
        expiry = self._expiry(row, age)
        retain = row.retain and self._may_retain()
        sent = _Sent(row)
        try:
            mid = connection.publish(topic, payload, retain=retain, expiry=expiry, qos=self._qos())
        except PermanentDelivery as error:
            self._give_up(row, str(error))
            return True
        self._sent[mid] = sent
        if clears_retained(row.family, retain=row.retain) and self._may_retain():
            sent.awaited = 2
            self._direct.put_first(DirectPublish(topic=topic, payload=b"", retain=True, belongs_to=sent))
            self.fill_direct(connection, now)
        return True

    def _expiry(self, row: OutboxRow, age: float) -> int | None:
        """How long a broker may keep it for subscribers that are away; states have no such end."""
        if row.expiry is not None:
            return int(row.expiry - age) + 1
        ends = self._message_expiry > 0 and row.priority in {Priority.SUMMARY, Priority.SKETCH}
        return int(self._message_expiry) or 1 if ends else None

    def _qos(self) -> int:
        return min(1, self._opened.maximum_qos) if self._opened else 1

    def _may_retain(self) -> bool:
        return self._opened is None or self._opened.retain_available

    def _may_replay(self, now: float) -> bool:
        if self._rate <= 0:
            return True
        self._tokens = min(self._tokens + (now - self._tokens_at) * self._rate, max(self._rate, 1.0))
        self._tokens_at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def acked(self, event: Acked, now: float) -> None:
        """The broker answered one publish."""
        self._progress_at = now
        sent = self._sent.pop(event.mid, None)
        if sent is None:
            self._extra.discard(event.mid)
            if event.code >= REFUSED:
                self._log_refusal("status", event)
            return
        if event.code >= REFUSED:
            self._direct.drop(sent)
            self._refused(sent.row, event, now)
            return
        sent.awaited -= 1
        self._refusals.pop(sent.row.priority, None)
        if not sent.awaited:
            self._acked.append((sent.row.priority, sent.row.id))
            self.delivered_total += 1

    def _refused(self, row: OutboxRow, event: Acked, now: float) -> None:
        for mid in [mid for mid, sent in self._sent.items() if sent.row is row]:
            del self._sent[mid]
        if event.code in NEVER:
            self._give_up(row, f"the broker refuses it: {event.reason}")
            return
        self._log_refusal(row.topic, event)
        self._refusals[row.priority] = f"{row.topic}: {event.reason.lower()}"
        self._held_until[row.priority] = now + HOLD_SECONDS
        self._next[row.priority].appendleft(row)

    def _log_refusal(self, topic: str, event: Acked) -> None:
        if self._last_refusal != f"{topic.partition('/')[0]} {event.code}":
            self._last_refusal = f"{topic.partition('/')[0]} {event.code}"
            log.error("the broker refuses messages, holding them back", topic=topic, reason=event.reason)

    def _give_up(self, row: OutboxRow, reason: str) -> None:
        log.error("message given up", topic=row.topic, seq=row.seq, reason=reason)
        self._outbox.give_up([row])

    def settle_when_due(self, now: float) -> None:
        """Remove delivered rows from disk once enough have gathered, or no commit has taken them along."""
        self._note_delivered()
        rows = self._outbox.delivered_rows
        if not rows:
            self._acked_at = now
        patience = SETTLE_SECONDS if rows <= DELIVERED_ROWS else BUSY_SECONDS
        if rows >= ACK_ROWS or now - self._acked_at >= patience:
            self._outbox.remove_delivered()

    def settle(self) -> None:
        """Remove delivered rows from disk now. They are kept in mind where the disk refuses."""
        self._note_delivered()
        self._outbox.remove_delivered()

    def _note_delivered(self) -> None:
        self._outbox.note_delivered(self._acked)
        self._acked.clear()


def is_late(row: OutboxRow, age: float) -> bool:
    """Law 4."""
    if row.priority not in {Priority.SUMMARY, Priority.SKETCH}:
        return False
    return row.span > 0 or age > max(LATE_SECONDS, LATE_WINDOWS * row.window)
