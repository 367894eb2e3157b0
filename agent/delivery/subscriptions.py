"""Subscriptions: what a device listens for at the broker, and what is to be done with what comes.

That is its commands, the start of Home Assistant, its own status (another box may have its name) and the status under
its former names (to be cleared). Used by the delivery thread alone.
"""

from __future__ import annotations

from enum import Enum, auto

import structlog

from agent.delivery.commands import CommandWorker
from agent.delivery.identity import Identity
from agent.delivery.mqtt.connection import Connection
from agent.delivery.mqtt.events import Received, Subscribed
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

    def begin(self, connection: Connection, now: float) -> None:
        """Subscribe on a new connection."""
        for topic in self._ledger.to_check(now):
            connection.subscribe(topic, retained=True)
        if self._commands is not None and self._commands.enabled:
            connection.subscribe(self._command_topic)
        if self._birth_topic:
            connection.subscribe(self._birth_topic)
        if self.name.wanted:
            self.name.subscribing()
            connection.subscribe(self.name.topic)

    def answered(self, event: Subscribed) -> None:
        """The broker has answered a subscription."""
        if event.topic == self.name.topic:
            self.name.answered()
        what = {self._command_topic: "commands", self._birth_topic: "the start of Home Assistant"}.get(
            event.topic
        )
        if what and not event.allowed:
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
