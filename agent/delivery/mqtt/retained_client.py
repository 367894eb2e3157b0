"""Reads and clears retained messages, for the commands that list and remove devices."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType

from agent.config.delivery_settings import BrokerSettings
from agent.core import clock
from agent.core.errors import RetryableDelivery
from agent.delivery.mqtt.address import BrokerAddress
from agent.delivery.mqtt.beside import Pipe, check_allowed, drive, open_connection, wake_pipe
from agent.delivery.mqtt.connection import Connection, ConnectionOptions, ProtocolVersion
from agent.delivery.mqtt.events import Acked, Closed, Event, Received, Subscribed

QUIET_SECONDS = 1.0
"""What is retained comes at once after the subscription; after so long without any more, that was all."""

READ_SECONDS = 60.0
ACKNOWLEDGE_SECONDS = 30.0
MOST_TOPICS = 200_000
MOST_BYTES = 128 * 1024 * 1024
IN_FLIGHT = 20


@dataclass(slots=True)
class Cleared:
    """What came of clearing: the topics that the broker acknowledged, and those that it refused, with its reason."""

    topics: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


class RetainedClient:
    """A connection to one broker, with a client id of its own. Use it as a context manager.

    Its methods raise RetryableDelivery where the connection fails, PermanentDelivery where a subscription is refused.
    """

    def __init__(self, address: BrokerAddress, settings: BrokerSettings) -> None:
        self._address = address
        self._options = ConnectionOptions(
            client_id=f"vedette-clear-{uuid.uuid4().hex[:8]}",
            session_expiry=0.0,
            broker=settings,
        )
        self._closing = ExitStack()
        self._pipe: Pipe = (-1, -1)
        self._connection: Connection | None = None

    def __enter__(self) -> RetainedClient:
        with ExitStack() as opened:
            self._pipe = opened.enter_context(wake_pipe())
            connection = self._connection = open_connection(self._address, self._options, self._pipe)
            opened.callback(lambda: connection.close(forget=True))
            self._closing = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    @property
    def _open(self) -> Connection:
        if self._connection is None:
            raise RetryableDelivery(f"broker {self._address.shown}: not connected")
        return self._connection

    @property
    def reports_refusals(self) -> bool:
        """Whether the broker says so when it refuses a message: MQTT 3.1.1 cannot."""
        return self._open.options.version is ProtocolVersion.V5

    def read(self, filters: Iterable[str]) -> Mapping[str, bytes]:
        """What is retained at topics that match `filters`, by topic."""
        found: dict[str, bytes] = {}
        size = 0
        for topic_filter in filters:
            self._open.subscribe(topic_filter, retained=True)
            until, quiet = clock.monotonic() + READ_SECONDS, None
            while (now := clock.monotonic()) < until and (quiet is None or now < quiet):
                for event in self._events(min(0.2, until - now)):
                    if isinstance(event, Subscribed):
                        check_allowed(event, self._address)
                        quiet = clock.monotonic() + QUIET_SECONDS
                    elif isinstance(event, Received) and event.retained and event.payload:
                        quiet = clock.monotonic() + QUIET_SECONDS
                        size += len(event.topic) + len(event.payload)
                        if len(found) < MOST_TOPICS and size < MOST_BYTES:
                            found[event.topic] = event.payload
            if quiet is None:
                raise RetryableDelivery(f"broker {self._address.shown}: no answer to the subscription")
            self._open.unsubscribe(topic_filter)
        return found

    def clear(self, topics: Iterable[str], report: Callable[[int], None] = lambda _: None) -> Cleared:
        """Clear each topic by an empty retained message; `report` gets how many were answered so far."""
        result, waiting, mids = Cleared(), list(topics)[::-1], dict[int, str]()
        most = min(IN_FLIGHT, self._open.opened.receive_maximum if self._open.opened else IN_FLIGHT)
        until = clock.monotonic() + ACKNOWLEDGE_SECONDS
        while waiting or mids:
            while waiting and len(mids) < most:
                topic = waiting.pop()
                mids[self._open.publish(topic, b"", retain=True)] = topic
            for event in self._events(0.2, " (some brokers hang up on who may not write there)"):
                if isinstance(event, Acked) and event.mid in mids:
                    _take_in(result, mids.pop(event.mid), event)
                    until = clock.monotonic() + ACKNOWLEDGE_SECONDS
            report(len(result.topics) + len(result.refused))
            if clock.monotonic() > until:
                raise RetryableDelivery(f"broker {self._address.shown}: acknowledges nothing any more")
        return result

    def _events(self, seconds: float, hint: str = "") -> list[Event]:
        events = drive(self._open, self._pipe, seconds)
        for event in events:
            if isinstance(event, Closed):
                raise RetryableDelivery(f"broker {self._address.shown}: {event.reason}{hint}")
        return events


def _take_in(result: Cleared, topic: str, event: Acked) -> None:
    if event.refused:
        result.refused[topic] = event.reason.lower()
    else:
        result.topics.append(topic)
