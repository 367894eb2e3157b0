"""The publisher: takes drafts from any thread, keeps them safe, and gets them to the broker.

How to use it::

    publisher = Publisher(settings.broker, settings.outbox, identify(settings.device, settings.broker), state_dir)
    publisher.publish(draft)             # from any thread; never blocks, never raises
    publisher.connection                 # ConnectionState: state, failure, reason, broker, since
    publisher.statistics()                # flat numbers for the `host` summary: outbox_messages, ...
    publisher.observations(now)          # the same as `host.outbox_...` for the rules
    publisher.drain(timeout)             # True once everything accepted is delivered
    publisher.run(stop)                  # the part's thread; on stop it drains for some seconds, says offline

`run` is one loop: commit what came in, send what waits, note what was acknowledged.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from agent.config.delivery_settings import BrokerSettings, OutboxSettings
from agent.core import clock
from agent.core.printable import printable
from agent.core.types import Draft, Observation
from agent.core.worker import Worker
from agent.delivery.clock import Clock, WallClockWatch
from agent.delivery.commands import CommandWorker
from agent.delivery.figures import DeliveryFigures
from agent.delivery.handover import Inbox, Intake
from agent.delivery.identity import Identity
from agent.delivery.messages import Stamp
from agent.delivery.mqtt.address import broker_addresses
from agent.delivery.mqtt.announcements import Announcements
from agent.delivery.mqtt.connection import Connection, ConnectionOptions, Will
from agent.delivery.mqtt.connection_state import ConnectionState
from agent.delivery.mqtt.events import Acked, Closed, Event, Opened, Received, Subscribed
from agent.delivery.mqtt.failures import ConnectionFailure
from agent.delivery.mqtt.inflight import InflightWindow
from agent.delivery.mqtt.ledger import RetainedLedger
from agent.delivery.mqtt.session import Session, SessionTiming
from agent.delivery.outbox.recovery import OutboxRecovery
from agent.delivery.outbox.store import StoreCorrupt, StoreFull, StoreUnwritable
from agent.delivery.presence import Presence
from agent.delivery.replies import Reply, reply_message
from agent.delivery.standing import Standing
from agent.delivery.subscriptions import Arrival, Subscriptions

log = structlog.get_logger("vedette.delivery")

OUTBOX_FILE = "outbox.db"
ANNOUNCED_AT_ONCE = 10  # in one turn: the broker's window is small
_STORE_ERRORS = (StoreFull, StoreUnwritable, StoreCorrupt)


class Publisher(Worker):
    """The delivery thread. Raises ConfigError from the constructor where the broker's settings are wrong."""

    def __init__(
        self,
        broker: BrokerSettings,
        outbox: OutboxSettings,
        identity: Identity,
        state_directory: Path,
        *,
        commands: CommandWorker | None = None,
        timing: SessionTiming | None = None,
        clock: Clock | None = None,
        on_accepted: Callable[[Sequence[Stamp | None]], None] | None = None,
    ) -> None:
        super().__init__("delivery")
        self._identity, self._timing, self._clock = identity, timing or SessionTiming(), clock or Clock()
        self._inbox = Inbox()
        self._safe = OutboxRecovery(
            state_directory / OUTBOX_FILE,
            size=outbox.size,
            identity=identity,
            clock=self._clock,
            patience=self._timing.disk,
            retry=self._timing.disk_retry,
            in_flight=broker.in_flight,
        )
        addresses = broker_addresses(broker)
        self._brokers = [address.server for address in addresses]
        self._ledger = RetainedLedger(self._safe.outbox, identity.prefix)
        options = ConnectionOptions(
            client_id=identity.client_id,
            session_expiry=broker.session_expiry,
            broker=broker,
            timeout=self._timing.connect,
        )
        self._session = Session(addresses, options, self._timing, self._inbox.wake)
        self._window = InflightWindow(
            self._safe.outbox,
            self._clock,
            prefix=identity.prefix,
            ledger=self._ledger,
            in_flight=broker.in_flight,
            backlog_rate=broker.backlog_rate,
            message_expiry=broker.message_expiry,
            discard=self.discard,
        )
        self._commands = commands
        self._replies: deque[Reply] = deque(maxlen=100)
        if commands is not None:
            commands.reply = self._reply
        self._on_accepted = on_accepted or (lambda _: None)
        self._standing = Standing(self._ledger, identity.prefix)
        self._intake = Intake(
            self._inbox,
            self._safe,
            outbox.commit_interval,
            guard=self._guard,
            send=self._announce,
            on_accepted=self._accepted,
        )
        self._presence = Presence(identity, self._clock, self._standing, self._stamp)
        self._announcements = Announcements()
        self._subscriptions = Subscriptions(
            identity,
            self._ledger,
            commands=commands,
            birth_topic=f"{broker.home_assistant_prefix}/status" if broker.home_assistant else "",
        )
        self._figures = DeliveryFigures()
        self._quiet, self._quiet_after = False, 0
        self._clock_watch = WallClockWatch(self._clock)

    # -- for every thread -----------------------------------------------------------------------------------

    def publish(self, draft: Draft) -> None:
        """Hand a draft over; never blocks. It is accepted when committed, `commit_interval` later at most."""
        self._inbox.put(draft)

    def announce(self, payloads: Mapping[str, bytes], *, complete: bool = True) -> None:
        """Keep these retained at the broker, by their whole topic; what was announced before and is not, is cleared.

        Nothing is cleared while more may come (`complete` False).
        """
        self._announcements.wanted, self._announcements.complete = payloads, complete
        self._inbox.wake()

    @property
    def connection(self) -> ConnectionState:
        """How the connection to the broker stands."""
        return self._session.state

    def statistics(self) -> dict[str, float]:
        """Flat numbers about delivery, for the `host` summary."""
        return dict(self._figures.numbers)

    def observations(self, now: float) -> list[Observation]:
        """The statistics as rules see them; without a connection it is said why."""
        return self._figures.observations(
            now,
            broker_connected=self.connection.reason,
            broker_refused_topics=self._window.refused,
            certificate_ends=self._session.certificate.notice,
            outbox_lost_total=self._window.given_up and f"given up last: {self._window.given_up}",
            name_taken=f"machine {self._subscriptions.name.taken_by(clock.boottime())} publishes there",
        )

    def report(self) -> dict[str, Any]:
        """How delivery stands, for `vedette status`: plain values."""
        return {
            "broker": self._session.report(),
            "outbox": {**self._figures.report(), "refused": self._window.refused},
        }

    def drain(self, timeout: float) -> bool:
        """Wait until nothing waits to be sent or acknowledged; whether that came true in `timeout` seconds."""
        target, deadline = self._inbox.total, clock.boottime() + timeout
        while self._quiet_after < target or not self._quiet:
            if clock.boottime() >= deadline:
                return False
            time.sleep(0.01)
        return True

    def _reply(self, reply: Reply) -> None:
        self._replies.append(reply)
        self._inbox.wake()

    # -- in the delivery thread -----------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Deliver until stopped; then for `timing.stop` seconds more what is left, and say goodbye."""
        self._safe.open(clock.boottime())
        self._use_other_outbox()
        self._ledger.warn_of_former(self._brokers)
        self._figures.begin(self._safe.outbox)
        try:
            while not stop.is_set():
                self._turn()
                self.beat()
            self._finish()
        finally:
            self._session.close(self._clock.steady())
            self._guard(self._window.end)
            self._safe.close()

    def _turn(self) -> None:
        now = clock.boottime()
        if self._clock_watch.was_set():
            self._session.clock_changed(now)
        self._session.tick(now, self._clock.steady(), self._will)
        if (connection := self._session.admitted) is not None:
            self._guard(partial(self._send, connection))
        self._session.drive(self._intake.wait_seconds(now), self._inbox.wake_fd, now)
        self._inbox.awake()
        now = clock.boottime()
        for event in self._session.events(now, self._clock.steady()):
            self._guard(partial(self._on_event, event, now))
        self._intake.commit_when_due(now)
        self._guard(lambda: self._window.settle_when_due(now))
        self._guard(self._safe.outbox.shed)
        self._watch(now)

    def _guard(self, step: Callable[[], object]) -> bool:
        """Do what touches the outbox; a failing disk is dealt with, and nothing else stops for it."""
        try:
            step()
        except _STORE_ERRORS as error:
            if self._safe.failed(error, clock.boottime()):
                self._use_other_outbox()
            return False
        return True

    def _use_other_outbox(self) -> None:
        """What was on its way will be sent again, from where it is kept now: twice is better than not at all."""
        self._window.move_to(self._safe.outbox)
        self._ledger.move_to(self._safe.outbox)

    # -- in ---------------------------------------------------------------------------------------------------

    def _accepted(self, stamps: Sequence[Stamp | None]) -> None:
        self.discarded += stamps.count(None)
        self._on_accepted(stamps)

    def _announce(self, draft: Draft) -> None:
        """Send what is not queued, now or on the next connect; only retained drafts are worth repeating."""
        if self._standing.take(draft) and self._session.connected:
            self._send_direct(draft)

    # -- out --------------------------------------------------------------------------------------------------

    def _send(self, connection: Connection) -> None:
        while self._replies and self._window.room:
            self.attempt("send an answer", partial(self._answer, self._replies.popleft()))
            self._window.fill_direct(connection, clock.boottime())
        if self._window.room:
            left_over = self._standing.left_over(self._announcements, self._safe.outbox.retained.alert_topics)
            for topic, payload in self._announcements.due(ANNOUNCED_AT_ONCE, left_over).items():
                self._window.publish_direct(topic, payload, retain=True)
        self._window.fill(connection, clock.boottime())

    def _clear_former_name(self, received: Received) -> None:
        """Clear what stands under a former name, where this is its retained status and was asked for."""
        topics = self._ledger.checked(received.topic, received.payload)
        for topic in topics or ():
            self._window.publish_direct(topic, b"", retain=True)
        if topics is not None and self._session.connection is not None:
            self._session.connection.unsubscribe(received.topic)

    def _stamp(self, family: str) -> Stamp:
        return self._safe.outbox.stamp(family)  # another one after a failure of the disk

    def _answer(self, reply: Reply) -> None:
        message = reply_message(reply, self._stamp(reply.draft.family))
        topic = reply.topic or message.topic
        self._window.publish_direct(topic, message.payload, retain=False, correlation=reply.correlation)

    def _send_direct(self, draft: Draft) -> None:
        self.attempt(f"send {printable(draft.topic, 200)}", partial(self._encode_direct, draft))

    def _encode_direct(self, draft: Draft) -> None:
        message = self._presence.encode(draft)
        self._window.publish_direct(message.topic, message.payload, retain=draft.retain)

    def _will(self, broker: str) -> Will:
        if not self._session.connected:
            self._ledger.begin(broker)
        message = self._presence.will()
        self._ledger.record([message.topic])
        return Will(topic=message.topic, payload=message.payload)

    def _on_event(self, event: Event, now: float) -> None:
        if isinstance(event, Acked):
            self._window.acked(event, now)
        elif isinstance(event, Opened):
            self._on_opened(event, now)
        elif isinstance(event, Closed):
            if not event.ours and not self._subscriptions.connection_ended(event, now):
                self._window.died(event, now)
            self._window.end()
        elif isinstance(event, Subscribed):
            self._subscriptions.answered(event)
        elif isinstance(event, Received):
            self._on_received(event, now)

    def _on_received(self, event: Received, now: float) -> None:
        arrival = self._subscriptions.arrived(event, now)
        if arrival is Arrival.COMMAND and self._commands is not None:
            self.attempt("take a command", partial(self._take_command, self._commands, event, now))
        elif arrival is Arrival.BIRTH:
            self._announcements.send_again()  # RabbitMQ hands no retained messages to its wildcard
        elif event.retained:
            self._clear_former_name(event)

    def _take_command(self, commands: CommandWorker, event: Received, now: float) -> None:
        remember, steady = self._safe.outbox.executed.first_time, self._clock.steady()
        commands.receive(
            event,
            wall=self._clock.wall(),
            synced=self._clock.synced(),
            now=now,
            first_time=lambda command_id: remember(command_id, steady),
        )

    def _on_opened(self, opened: Opened, now: float) -> None:
        """A broker may have forgotten everything: say again what holds."""
        connection = self._session.connection
        if connection is None:
            return
        self._window.begin(opened, now, connection.address.server)
        self._ledger.begin(connection.address.server)
        self._announcements.send_again()
        self._standing.look_again()
        self._subscriptions.begin(connection, now)
        self._presence.said(now)
        status = self._presence.status(self.connection.since)
        for draft in (status, *(each for each in self._standing if each.topic != "status")):
            self._send_direct(draft)
        for alert in self._safe.outbox.retained.standing(self._identity.device):
            self._window.publish_direct(f"{self._identity.prefix}/{alert.topic}", alert.payload, retain=True)

    def _beat_heart(self, now: float) -> None:
        """Repeat the status: where the broker retains nothing, and as an answer to a box that has our name."""
        if (connection := self._session.admitted) is None:
            return
        self._subscriptions.ask_again(connection, now)
        repeated = not self._window.may_retain and self._presence.repeat_due(now)
        if self._subscriptions.name.answer_due(now) or repeated:
            self._presence.said(now)
            self._send_direct(self._presence.status(self.connection.since))

    # -- watching over it -----------------------------------------------------------------------------------

    def _watch(self, now: float) -> None:
        if self._session.connected and self._window.stalled_seconds(now) > self._timing.acknowledge:
            first, seconds = self._window.first_in_line(), self._timing.acknowledge
            reason = f"no acknowledgement for {seconds:g} s; first in line is {first}"
            self._session.fail(ConnectionFailure.SILENT, reason)
        self._beat_heart(now)
        self._ledger.unanswered(now)
        if self._safe.revisit(now):
            self._use_other_outbox()
        handed_over = self._inbox.total
        self._quiet = not self._safe.outbox.depth and not len(self._inbox) and self._window.idle
        if self._quiet:
            self._quiet_after = handed_over
        self._figures.take(
            self._safe,
            len(self._inbox),
            now,
            broker_connected=float(self._session.connected),
            broker_refused_topics=float(self._window.refused_topics),
            certificate_ends=float(bool(self._session.certificate.notice)),
            name_taken=float(bool(self._subscriptions.name.taken_by(now))),
            delivered_total=float(self._window.delivered_total),
        )

    def _finish(self) -> None:
        """Stopping: what came in is committed whatever happens; what can be delivered in time is."""
        deadline = clock.boottime() + self._timing.stop
        self._intake.hurry(clock.boottime())
        self._turn()
        while clock.boottime() < deadline and self._session.connected and not self._quiet:
            self._turn()
        if self._session.connected:
            self._send_direct(self._presence.offline("stopped"))
            until = min(clock.boottime() + 1.0, deadline + 0.5)
            while (
                clock.boottime() < until and (connection := self._session.admitted) and not self._window.idle
            ):
                self._window.fill_direct(connection, clock.boottime())
                self._session.drive(0.1, self._inbox.wake_fd, clock.boottime())
                for event in self._session.events(clock.boottime(), self._clock.steady()):
                    self._guard(partial(self._on_event, event, clock.boottime()))
        left, durable = self._safe.outbox.depth, self._safe.outbox.durable
        if left and not durable:
            log.error("delivery stopped, messages that were kept in memory are lost", messages=left)
        else:
            log.info("delivery stopped", messages_left_on_disk=left)
