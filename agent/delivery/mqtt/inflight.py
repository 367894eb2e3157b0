"""The send window: which messages are unacknowledged, and which are sent next.

Laws:

1. At most `limit` publishes are unacknowledged (the smaller of our own limit and the broker's), all kinds together:
   what does not come from the outbox (status, standing alerts, replies) waits for room too, and goes first.
2. The most important priority goes first, so a fresh alert overtakes a backlog; within one, the oldest.
3. A row is removed when the broker acknowledged all of it with a code below 0x80; what it refuses for good is
   given up and counted; what it refuses for now holds its topic back (refusals.py), and no other.
4. A summary or sketch that is older than two of its windows, and than two minutes, when it is handed to a
   connection goes to `replay/...`; so does what was merged, and what an earlier boot left where no clock can tell its
   age. Alerts never do: they are states.
5. Of one alert a single message is on its way: where a broker refuses it for now, a newer state must not come first.
6. After a connection that ended with something on its way, the next publishes go one at a time: so the message that
   makes the broker hang up is known, and given up once that is sure (suspects.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from itertools import groupby
from operator import itemgetter

import structlog

from agent.core.errors import PermanentDelivery
from agent.core.printable import printable
from agent.core.types import Priority
from agent.delivery.clock import Clock
from agent.delivery.messages import clears_retained
from agent.delivery.mqtt.connection import Connection
from agent.delivery.mqtt.direct import DirectPublish, DirectQueue
from agent.delivery.mqtt.events import UNLIMITED, Acked, Closed, Opened
from agent.delivery.mqtt.failures import NEVER, PERHAPS_OURS, ConnectionFailure
from agent.delivery.mqtt.lanes import LEASE_ROWS, Lanes
from agent.delivery.mqtt.ledger import RetainedLedger
from agent.delivery.mqtt.pace import QUOTA_EXCEEDED, SendPace
from agent.delivery.mqtt.refusals import Refusals
from agent.delivery.mqtt.routing import Routing
from agent.delivery.mqtt.suspects import Suspects, Verdict
from agent.delivery.mqtt.unacknowledged import SentRow, Unacknowledged
from agent.delivery.outbox.queue import Outbox
from agent.delivery.outbox.rows import OutboxRow, unpack
from agent.delivery.outbox.shedding import START_RATIO
from agent.delivery.outbox.store import LANES
from agent.delivery.outbox.unsettled import DELIVERED_ROWS

log = structlog.get_logger("vedette.delivery")

ACK_ROWS = 256
BUSY_SECONDS = 1.0
SETTLE_SECONDS = 90.0  # the windows of a minute take along what was delivered of the last
CAREFUL_PUBLISHES = 32
ROWS_AT_ONCE = 500  # looked at in one turn: a long row of held ones must not keep the thread


class _Outcome(Enum):
    """What became of a row that was to be sent."""

    SENT = "sent"
    WAITS = "waits"  # for its pace, or for the answer to the last message of its alert
    SETTLED = "settled"  # parked, or given up


class InflightWindow:
    """Moves rows from one outbox through one connection at a time."""

    def __init__(
        self,
        outbox: Outbox,
        clock: Clock,
        *,
        prefix: str,
        ledger: RetainedLedger,
        in_flight: int,
        backlog_rate: float = 0.0,
        message_expiry: float = 0.0,
        discard: Callable[[str, Exception], None],
    ) -> None:
        self._outbox, self._discard = outbox, discard
        self._routing = Routing(clock, prefix=prefix, message_expiry=message_expiry)
        self._ledger = ledger
        self._in_flight, self._pace = in_flight, SendPace(backlog_rate)
        self._limit = in_flight
        self._opened = UNLIMITED
        self._lanes = Lanes(outbox, self._on_leased)
        self._unacknowledged = Unacknowledged()
        self._direct = DirectQueue()
        self._acked_at = 0.0
        self._progress_at = 0.0
        self._refusals, self._suspects = Refusals(), Suspects()
        self._broker = ""
        self._careful = 0
        self.delivered_total = 0
        self.given_up = ""  # the last message that was, and why

    def begin(self, opened: Opened, now: float, broker: str = "") -> None:
        """A connection to `broker` was opened; what another one refused or hung up on, this one may take."""
        if broker != self._broker:
            self._broker = broker
            self._refusals, self._suspects = Refusals(), Suspects()
        self.end()
        self._opened = opened
        self._limit = max(min(self._in_flight, opened.receive_maximum), 1)
        self._progress_at = now

    def died(self, closed: Closed, now: float) -> None:
        """The connection ended by itself; to be called before `end`. Law 6."""
        self._refusals.connection_ended(now)
        if not self._unacknowledged or closed.failure not in PERHAPS_OURS:
            return
        self._careful = CAREFUL_PUBLISHES
        if (sent := self._unacknowledged.oldest()) is None:
            return
        topic, size = sent.topic, sent.size
        alone, named = len(self._unacknowledged) == 1, closed.failure is ConnectionFailure.DENIED
        verdict = self._suspects.ended(sent.key, alone=alone, named=named)
        over_it = f"the broker ends the connection over it: {closed.reason}"
        if isinstance(sent, SentRow) and (verdict is Verdict.GUILTY or (alone and closed.code in NEVER)):
            self._refusals.remove(topic)
            hung_up = f"the broker disconnects whenever it is sent alone to {topic} ({size} bytes, packed)"
            self._give_up(sent.row, over_it if named else hung_up)
        elif verdict is not Verdict.RETRY:
            reason = over_it if named else f"the broker may hang up on a message of {size} bytes (packed)"
            if self._refusals.refused(topic, reason, now, suspected=True):
                log.error("the broker disconnects whenever this message is sent, holding its topic back",
                          topic=topic, bytes=size, reason=reason)  # fmt: skip

    def end(self) -> None:
        """The connection is gone: what was not acknowledged will be sent again."""
        self._unacknowledged.clear()
        self._direct.clear()
        self._refusals.reconnected()
        self._lanes.clear()
        self._outbox.release()
        self._outbox.settle()

    def move_to(self, outbox: Outbox) -> None:
        """Use another outbox from now on; to be called while nothing is on its way."""
        for sent in self._unacknowledged.disown_rows():
            self._direct.drop(sent)
        self._refusals.reconnected()
        self._suspects = Suspects()  # its keys are ids of rows, which mean other messages in another file
        self._lanes.move_to(outbox)
        self._outbox = outbox

    @property
    def on_the_way(self) -> int:
        """Publishes that wait for an acknowledgement."""
        return len(self._unacknowledged)

    @property
    def room(self) -> bool:
        """Whether another publish may go out, and none waits for that already."""
        return self._free and not self._direct

    @property
    def _free(self) -> bool:
        return self.on_the_way < (1 if self._careful else self._limit)

    @property
    def idle(self) -> bool:
        """Whether nothing waits for an acknowledgement or for room."""
        return not self.on_the_way and not self._direct

    @property
    def refused(self) -> str:
        """What the broker does not let us publish at present, and why; "" where it takes everything."""
        return str(self._refusals)

    @property
    def refused_topics(self) -> int:
        """How many topics the broker does not let us publish to at present."""
        return len(self._refusals)

    @property
    def may_retain(self) -> bool:
        """Whether the broker retains messages, as far as it has announced."""
        return self._opened.retain_available

    def first_in_line(self) -> str:
        """The topic of the oldest publish without an acknowledgement."""
        sent = self._unacknowledged.oldest()
        return sent.topic if sent else ""

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
        self._retry_held(connection, now)
        for lane in LANES:
            for _ in range(ROWS_AT_ONCE):
                if not self._free:
                    return
                row = self._lanes.take(lane)
                if row is None:
                    break
                if self._return_older(row):
                    self._lanes.put_first(row)
                elif self._send(connection, row, now) is _Outcome.WAITS:
                    self._lanes.put_first(row)
                    break

    def _retry_held(self, connection: Connection, now: float) -> None:
        for topic, item in self._refusals.due(now):
            suspected = self._refusals.suspected(topic)
            if not self._free or (suspected and self.on_the_way):
                continue
            self._careful = CAREFUL_PUBLISHES if suspected else self._careful
            if isinstance(item, DirectPublish):
                sent = self._publish_direct(connection, item, now)
            else:
                rows = self._outbox.fetch(item[0], [item[1]])
                if rows and self._return_older(rows[0]):
                    continue
                if rows and self._route(rows[0])[0] != topic:  # it has become late, and goes elsewhere
                    self._lanes.give_back([item])
                    rows = []
                outcome = self._send(connection, rows[0], now, trying=topic) if rows else _Outcome.SETTLED
                if outcome is _Outcome.WAITS:
                    continue
                sent = outcome is _Outcome.SENT
            self._refusals.taken(topic, trying=sent)

    def _return_older(self, row: OutboxRow) -> bool:
        """Whether older rows of its family come first: held under the live topic, they have become late meanwhile."""
        topic, late, _ = self._route(row)
        live = self._routing.live_topic(row)
        older = self._refusals.take_older(live, row.key) if late and live != topic else []
        self._lanes.give_back(older)
        return bool(older)

    def _route(self, row: OutboxRow) -> tuple[str, bool, float | None]:
        return self._routing.route(row, self._outbox.boot)

    def _release(self, topic: str) -> None:
        """`topic` is held no longer: what was kept of it is next."""
        rows, direct = self._refusals.remove(topic)
        self._lanes.give_back(rows)
        if direct is not None:
            self._direct.put(direct)

    def fill_direct(self, connection: Connection, now: float) -> None:
        """Send what waits beside while the window has room."""
        if self.may_retain:
            self._ledger.record(self._direct.retained_topics())  # all in one transaction
        while self._direct and self._free:
            item = self._direct.take()
            if item.retain and item.belongs_to is None and self._refusals.holds(item.topic):
                self._refusals.park_direct(item)
            else:
                self._publish_direct(connection, item, now)

    def _publish_direct(self, connection: Connection, item: DirectPublish, now: float) -> bool:
        """Whether it was sent: what MQTT cannot carry is discarded."""
        if reason := self._opened.too_large(item.topic, item.payload):
            self._discard(f"send {printable(item.topic, 200)}", PermanentDelivery(reason))
            return False
        self._progress_at = self._progress_at if self.on_the_way else now
        retain = item.retain and self.may_retain
        if retain and item.payload:
            self._ledger.record([item.topic])
        elif retain:
            self._ledger.clearing(item.topic)
        try:
            mid = connection.publish(
                item.topic, item.payload, retain=retain, qos=self._opened.qos, correlation=item.correlation
            )
        except PermanentDelivery as error:
            self._discard(f"send {printable(item.topic, 200)}", error)
            return False
        self._unacknowledged.add(mid, item.belongs_to or item)
        return True

    def _on_leased(self, rows: Iterable[OutboxRow]) -> None:
        if self.may_retain:
            self._ledger.record(self._routing.live_topic(row) for row in rows if row.retain)

    def _send(self, connection: Connection, row: OutboxRow, now: float, trying: str = "") -> _Outcome:
        """Send, park or give up one row; `trying`: sent to this topic though it is held."""
        topic, late, age = self._route(row)
        if topic != trying and self._refusals.holds(topic):
            self._refusals.park(topic, row.key)
            return _Outcome.SETTLED
        if row.priority is Priority.ALERT and self._unacknowledged.topic_in_use(topic):
            return _Outcome.WAITS
        if not self._pace.passes(now, late=late):
            return _Outcome.WAITS
        try:
            payload = unpack(row.payload)
        except ValueError as error:
            self._give_up(row, str(error))
            return _Outcome.SETTLED
        expired = row.expiry is not None and age is not None and age >= row.expiry
        if reason := f"expired after {row.expiry} s" if expired else self._opened.too_large(topic, payload):
            self._give_up(row, reason)
            return _Outcome.SETTLED
        self._progress_at = self._progress_at if self.on_the_way else now
        expiry = self._routing.expiry(row, age)
        retain, sent = row.retain and self.may_retain, SentRow(row, topic)
        try:
            mid = connection.publish(topic, payload, retain=retain, expiry=expiry, qos=self._opened.qos)
        except PermanentDelivery as error:
            self._give_up(row, str(error))
            return _Outcome.SETTLED
        self._unacknowledged.add(mid, sent)
        if clears_retained(row.family, retain=row.retain) and self.may_retain:
            sent.awaited = 2
            self._direct.put_first(DirectPublish(topic=topic, payload=b"", retain=True, belongs_to=sent))
            self.fill_direct(connection, now)
        return _Outcome.SENT

    def acked(self, event: Acked, now: float) -> None:
        """The broker answered one publish."""
        self._progress_at = now
        self._careful = max(self._careful - 1, 0)
        if self._pace.answered(event.code, now):
            log.warning("the broker's quota is exceeded, sending slower", a_second=round(self._pace.rate, 1))
        if (sent := self._unacknowledged.take(event.mid)) is None:
            return
        if self._suspects.acknowledged(sent.key):
            self._refusals.retry_soon(now)
        if isinstance(sent, DirectPublish):
            self._acked_direct(sent, event, now)
        elif event.refused:
            self._refused(sent, event, now)
        else:
            self._accepted(sent)

    def _accepted(self, sent: SentRow) -> None:
        sent.awaited -= 1
        if sent.awaited:
            return
        self._release(sent.topic)
        self._outbox.note_delivered([sent.key])
        self.delivered_total += 1
        if clears_retained(sent.row.family, retain=sent.row.retain):
            self._ledger.cleared([self._routing.live_topic(sent.row)])

    def _acked_direct(self, item: DirectPublish, event: Acked, now: float) -> None:
        if not event.refused:
            self._release(item.topic)
            if item.retain and not item.payload:
                self._ledger.cleared([item.topic])
        elif item.retain:
            self._hold(item.topic, event, now)
            self._refusals.park_direct(item)
        else:
            log.error("the broker refuses a message", topic=item.topic, reason=event.reason)

    def _refused(self, sent: SentRow, event: Acked, now: float) -> None:
        self._direct.drop(sent)
        self._unacknowledged.disown(sent)
        if event.code in NEVER:
            self._give_up(sent.row, f"the broker refuses it: {event.reason}")
            self._release(sent.topic)
        else:
            self._hold(sent.topic, event, now)
            self._refusals.park(sent.topic, sent.key)

    def _hold(self, topic: str, event: Acked, now: float) -> None:
        brief = event.code == QUOTA_EXCEEDED
        if self._refusals.refused(topic, event.reason.lower(), now, brief=brief):
            log.error("the broker refuses messages, holding them back", topic=topic, reason=event.reason)

    def _shed_held(self) -> None:
        """A full outbox cannot keep what the broker refuses: the oldest of it is given up, and counted."""
        if not self._refusals or self._outbox.store.used_ratio() <= START_RATIO:
            return
        for lane, keys in groupby(self._refusals.oldest(LEASE_ROWS), key=itemgetter(0)):
            rows = self._outbox.fetch(lane, [row_id for _, row_id in keys])
            log.error("the outbox is full: messages that the broker refuses are discarded", count=len(rows))
            self._outbox.give_up(rows)

    def _give_up(self, row: OutboxRow, reason: str) -> None:
        self.given_up = f"{row.topic} ({reason})"
        log.error("message given up", topic=row.topic, seq=row.seq, reason=reason)
        self._outbox.give_up([row])

    def settle_when_due(self, now: float) -> None:
        """Remove delivered rows from disk once enough have gathered, or no commit has taken them along."""
        self._shed_held()
        rows = self._outbox.delivered_rows
        if not rows:
            self._acked_at = now
        patience = SETTLE_SECONDS if rows <= DELIVERED_ROWS else BUSY_SECONDS
        if rows >= ACK_ROWS or now - self._acked_at >= patience:
            self._outbox.settle()
        if not self.on_the_way:
            self._ledger.settle()
