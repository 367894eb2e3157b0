"""Subscriptions of the device at the broker, and what is done with each received message.

That is its commands, the start of Home Assistant, its own status (another box may have its name) and the status under
its former names (to be cleared). Used by the delivery thread alone.
"""

from __future__ import annotations

from enum import Enum, auto

import structlog

from agent.delivery.commands import CommandWorker
from agent.delivery.identity import Identity
from agent.delivery.mqtt.connection import Connection
from agent.delivery.mqtt.events import Closed, Received, Subscribed
from agent.delivery.mqtt.hang_ups import HangUps
from agent.delivery.mqtt.ledger import RetainedLedger
from agent.delivery.mqtt.name_watch import NameWatch

log = structlog.get_logger("vedette.delivery")


class Arrival(Enum):
    """What a message that arrived asks for."""

    NOTHING = auto()
    COMMAND = auto()
    BIRTH = auto()  # Home Assistant has started


class Subscriptions:
    """The topics that a device listens for; `birth_topic` is Home Assistant's, "" for none."""

    def __init__(
        self,
        identity: Identity,
        ledger: RetainedLedger,
        *,
        commands: CommandWorker | None,
        birth_topic: str,
    ) -> None:
        self.name = NameWatch(f"{identity.prefix}/status", identity.machine)
        self._ledger, self._commands, self._birth_topic = ledger, commands, birth_topic
        self._command_topic = f"{identity.prefix}/command/+"
        self._hang_ups = HangUps()

    def begin(self, connection: Connection, now: float) -> None:
        """Subscribe on a new connection."""
        self._hang_ups.replaced()
        former = self._ledger.to_check(now)
        for topic in (*former, *self._lasting()):
            if self._hang_ups.may_ask(topic, now):
                self._ask(connection, topic, retained=topic in former)

    def ask_again(self, connection: Connection, now: float) -> None:
        """Subscribe to what the broker has hung up on, where that is long ago."""
        for topic in self._hang_ups.due(now):
            self._ask(connection, topic, retained=topic not in self._lasting())

    def _lasting(self) -> list[str]:
        commands = self._commands is not None and self._commands.enabled
        wanted = {
            self._command_topic: commands,
            self._birth_topic: bool(self._birth_topic),
            self.name.topic: self.name.wanted,
        }
        return [topic for topic, is_wanted in wanted.items() if is_wanted]

    def _ask(self, connection: Connection, topic: str, *, retained: bool) -> None:
        self._hang_ups.asked(topic)
        connection.subscribe(topic, retained=retained)

    def connection_ended(self, closed: Closed, now: float) -> bool:
        """The connection ended by itself; whether a subscription is suspected, and so nothing that was published."""
        suspect, held = self._hang_ups.connection_ended(now)
        if held:
            log.error(
                f"the connection ends whenever we ask to listen for {self._what(suspect)}, not asked for a while",
                topic=suspect,
                reason=closed.reason,
                mend="allow the subscription at the broker, or switch off what needs it",
            )
        return bool(suspect)

    def _what(self, topic: str) -> str:
        what = {self._command_topic: "commands", self._birth_topic: "the start of Home Assistant"}
        return what.get(topic, "a status")

    def answered(self, event: Subscribed) -> None:
        """The broker has answered a subscription."""
        self._hang_ups.answered(event.topic)
        if event.topic in {self._command_topic, self._birth_topic} and not event.allowed:
            what = self._what(event.topic)
            log.error(f"the broker does not let us listen for {what}", topic=event.topic, reason=event.reason)

    def arrived(self, event: Received, now: float) -> Arrival:
        """What is to be done about a message; that of a box with our name is noted here."""
        if event.topic == self.name.topic:
            self.name.received(event.payload, retained=event.retained, now=now)
            return Arrival.NOTHING
        if event.topic == self._birth_topic:
            return Arrival.BIRTH if event.payload == b"online" and not event.retained else Arrival.NOTHING
        asked = self._commands is not None and event.topic.startswith(self._command_topic[:-1])
        return Arrival.COMMAND if asked else Arrival.NOTHING
