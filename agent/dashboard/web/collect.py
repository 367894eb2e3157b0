"""`vedette collect`: one of several collectors that share the messages of a broker and write them into PostgreSQL.

Laws:

1. A message is acknowledged once it is committed: whatever dies before that, the broker sends it again.
2. What is written twice is there once (`store`).
3. A session that no collector keeps any more is adopted by another, and emptied: the broker holds its share until then.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.config.delivery_settings import BrokerSettings
from agent.core import clock
from agent.core.errors import ConfigError, VedetteError
from agent.core.untrusted import BadInput
from agent.dashboard.fleet import Fleet
from agent.dashboard.shared import RECEIVE_MAXIMUM, Delivery, SharedInbox, SharedSession
from agent.dashboard.web.collector import AWAY, MOST_DEVICES
from agent.dashboard.web.postgres.address import Database
from agent.dashboard.web.postgres.collectors import Collectors
from agent.dashboard.web.postgres.writer import PostgresHistory
from agent.dashboard.web.recorder import AlertsSeen, MessageRecorder, alert_change
from agent.dashboard.web.store import Key
from agent.delivery.mqtt.address import broker_addresses

GROUP = "vedette"
MOST_IN_BATCH = RECEIVE_MAXIMUM // 2
LINGER_SECONDS = 0.25
IDLE_SECONDS = 0.02
"""A batch is written once so long nothing came: with a broker that sends few messages ahead, it has all of them."""
RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0)
CHORES_SECONDS = 1.0
CONNECT_SECONDS = 30.0
DRAIN_SECONDS = 20.0
QUIET_SECONDS = 1.0
_SHARED = ("host", "gpu/#", "camera/#", "sketch/#", "replay/#")
_EACH = ("status", "info", "alert/+", "advice/+", "accuracy/#")
"""Retained, which a shared subscription gives nobody: each collector has all of them, and writes the same."""
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,80}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectOptions:
    """How a collector runs; `orphan_seconds`: a collector that was not seen for so long is taken for dead."""

    name: str = field(default_factory=socket.gethostname)
    group: str = GROUP
    orphan_seconds: float = 60.0
    beat_seconds: float = 10.0
    drain_seconds: float = 5.0


class SharedCollector:
    """One collector; `run` is its thread, `note` gets a line for each change of how it is."""

    def __init__(
        self,
        broker: BrokerSettings,
        database: Database,
        options: CollectOptions,
        note: Callable[[str], object],
    ) -> None:
        for value, key in ((options.name, "--name"), (options.group, "--group")):
            if not _NAME.fullmatch(value):
                raise ConfigError(
                    "is not a name",
                    file="command line",
                    key=key,
                    expected="letters, digits, `_`, `.` and `-`",
                )
        self._broker, self._options, self._note = broker, options, note
        self._inbox = SharedInbox()
        prefix = broker.topic_prefix.strip("/")
        filters = [f"$share/{options.group}/{prefix}/+/+/{family}" for family in _SHARED]
        filters += [f"{prefix}/+/+/{family}" for family in _EACH]
        self._session = SharedSession(broker, f"vedette-collect-{options.name}", filters, self._inbox)
        self._adoption: _Draining | None = None
        self._unwilling: set[str] = set()
        self._leaving = False
        self.store = PostgresHistory(database)
        self._collectors = Collectors(self.store, broker_addresses(broker)[0].shown)
        self._recorder = MessageRecorder(self.store)
        self._fleet = Fleet(broker.topic_prefix, most_devices=MOST_DEVICES)
        self._seen = AlertsSeen()
        self._ended: set[Key] = set()
        self._chores_at = self._beat_at = float("-inf")
        self._was_connected, self._away, self._refused, self._taken_over = False, "", "", False
        self._errors: dict[str, str] = {}
        self._losses: tuple[int, ...] = ()
        self.written = 0

    @property
    def error(self) -> str:
        """What fails at the moment, or ""; any thread may ask."""
        return next(iter(list(self._errors.values())), "")

    def run(self, stop: threading.Event) -> None:
        """Collect until `stop`, then leave what is not written to the broker."""
        self._session.start()
        ended = False
        try:
            while not stop.is_set():
                self.step(stop)
            ended = self._left()
        finally:
            if self._adoption is not None:
                self._adoption.session.close()
            self._session.close(end=ended)
            self.store.close()

    def step(self, stop: threading.Event) -> None:
        """Write one batch, and do what is due."""
        self._show_connection()
        deliveries = self._gather()
        for delivery in deliveries:
            self._take(delivery, clock.wall())
        self._until_written(deliveries, stop)
        if clock.monotonic() - self._chores_at >= CHORES_SECONDS and not stop.is_set():
            self._chores_at = clock.monotonic()
            self._attempt("chores", lambda: self._chores(caught_up=not deliveries))

    def _gather(self) -> list[Delivery]:
        first = self._inbox.take(0.2)
        if first is None:
            return []
        found, until = [first], clock.monotonic() + LINGER_SECONDS
        while len(found) < MOST_IN_BATCH:
            after = self._inbox.take(min(IDLE_SECONDS, until - clock.monotonic()))
            if after is None:
                break
            found.append(after)
        return found

    def _take(self, delivery: Delivery, now: float) -> None:
        message = self._fleet.process(delivery.topic, delivery.payload, now)
        if message is None:
            place = None if delivery.payload else self._fleet.place_of(delivery.topic)
            if place is not None and (ended := self._recorder.cleared(place)) is not None:
                self._ended.add(ended)
            return
        try:
            if message.family == "alert" and (change := alert_change(message.device, message.body)):
                self._seen.see(*change, now)
            self._recorder.record(message, now)
            if message.family == "status" and (key := self._recorder.offline(message.device)) is not None:
                self._seen.see(key, "firing", now)
        except BadInput as error:
            message.device.reject(f"{message.family}/{message.entity}", error)

    def _until_written(self, deliveries: list[Delivery], stop: threading.Event) -> None:
        """Try again until the batch is committed; at the end it stays with the broker."""
        tries = 0
        while not self._attempt("commit", lambda: self.store.commit(clock.wall())):
            if stop.wait(RETRY_SECONDS[min(tries, len(RETRY_SECONDS) - 1)]):
                return
            tries += 1
            self._show_connection()
        for delivery in deliveries:
            delivery.session.acknowledge(delivery)
        self.written += len(deliveries)

    def _attempt(self, part: str, work: Callable[[], None]) -> bool:
        """Whether `work` was done; the first failure, and the end of all of them, are noted."""
        try:
            work()
        except VedetteError as error:
            if not self._errors:
                self._note(f"{error}; trying again, the broker keeps what comes")
            self._errors[part] = str(error)
            return False
        if self._errors.pop(part, "") and not self._errors:
            self._note(f"{self.store.database.shown}: works again")
        return True

    def _show_connection(self) -> None:
        """Note each change of the connection to the broker."""
        session = self._session
        connected, refused = session.connected, session.refused
        if connected != self._was_connected:
            self._note(f"broker {self._collectors.broker}: {'connected' if connected else 'not connected'}")
        if session.away != self._away:
            self._away = session.away
            if self._away:
                self._note(AWAY.format(f"{self._collectors.broker}: {self._away}"))
        if refused and refused != self._refused:
            self._note(refused)
        if session.taken_over and not self._taken_over:
            self._note(
                f"another connection took over the session {session.client_id}: is there a second collector of this "
                "name (--name gives it another), or was this one cut off from the database?"
            )
        self._was_connected, self._refused, self._taken_over = connected, refused, session.taken_over

    # -- beside the messages -----------------------------------------------------------------------------------

    def _chores(self, *, caught_up: bool) -> None:
        now = clock.wall()
        self.store.roll_up(now)
        self.store.prune(now)
        if self._ended:
            self.store.end_alerts(self._ended, now)
            self._ended = set()
        if caught_up and self._seen.due(self._session.subscriptions, now):
            self.store.end_alerts(self._seen.unseen(self.store.firing()), now)
        self._adopt()
        if clock.monotonic() - self._beat_at >= self._options.beat_seconds:
            self._beat_at = clock.monotonic()
            if not self._leaving:
                self._collectors.beat(self._session.client_id, self._session.filters)
            if self._adoption is not None:
                self._collectors.beat(self._adoption.session.client_id, self._adoption.session.filters)
            self._note_losses()

    def _note_losses(self) -> None:
        """Note what was left out, where it became more."""
        losses = {
            f"rows that the database refuses (the last: {self.store.refused_reason})": self.store.refused,
            "messages of more series than are kept": self.store.left_out,
            "messages of more devices than are kept": self._fleet.left_out,
            "messages that came with QoS 0, faster than they could be written": self._inbox.dropped,
        }  # fmt: skip
        counts = tuple(losses.values())
        if any(counts) and counts != self._losses:
            self._note("left out: " + ", ".join(f"{count} {what}" for what, count in losses.items() if count))
        self._losses = counts

    def _adopt(self) -> None:
        """Empty the session of a collector that is no more; one at a time."""
        if self._adoption is not None:
            self._go_on_with(self._adoption)
        elif found := self._collectors.orphan([self._session.client_id], self._options.orphan_seconds):
            session = SharedSession(self._broker, *found, self._inbox, adopt=True)
            session.start()
            self._adoption = _Draining(session, clock.monotonic())
            if session.client_id not in self._unwilling:
                self._note(f"{session.client_id} is seen no more: its messages are taken over")

    def _go_on_with(self, adoption: _Draining) -> None:
        session, quiet = adoption.session, adoption.quiet_seconds(clock.monotonic())
        if session.left and quiet > self._options.drain_seconds:
            session.close(end=True)
            self._collectors.remove(session.client_id)
            self._adoption = None
        elif session.taken_over or (not session.connected and quiet > CONNECT_SECONDS):
            session.close()  # it is back, or the broker lets nobody else have it
            self._unwilling.add(session.client_id)
            self._adoption = None

    def _left(self) -> bool:
        """At the end: where others go on, leave the group, and write what waits in the session; whether it is empty."""
        session, deadline = self._session, threading.Event()
        try:
            if not session.connected or not self._collectors.leave(
                session.client_id, self._options.orphan_seconds
            ):
                return False
        except VedetteError:
            return False
        self._leaving = True
        timer = threading.Timer(DRAIN_SECONDS, deadline.set)
        timer.start()
        session.leave()
        draining = _Draining(session, clock.monotonic())
        while not deadline.is_set():
            self.step(deadline)
            if session.left and draining.quiet_seconds(clock.monotonic()) > QUIET_SECONDS:
                timer.cancel()
                return True
        self._attempt("leave", lambda: self._collectors.beat(session.client_id, session.filters))
        return False


class _Draining:
    """A session that gets nothing new; how long nothing came is how it is known to be empty."""

    def __init__(self, session: SharedSession, now: float) -> None:
        self.session, self._received, self._quiet_at = session, -1, now

    def quiet_seconds(self, now: float) -> float:
        """For how long nothing has come, and nothing waited to be acknowledged."""
        if self.session.held or self.session.received != self._received:
            self._received, self._quiet_at = self.session.received, now
        return now - self._quiet_at
