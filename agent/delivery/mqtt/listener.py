"""A subscriber for verification: receives every message under a prefix in the order of arrival."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import structlog

from agent.config.delivery_settings import BrokerSettings
from agent.core import clock
from agent.core.errors import RetryableDelivery
from agent.delivery.mqtt.address import broker_addresses
from agent.delivery.mqtt.beside import Pipe, check_allowed, drive, open_connection, wake_pipe
from agent.delivery.mqtt.connection import Connection, ConnectionOptions
from agent.delivery.mqtt.events import Closed, Event, Received, Subscribed

log = structlog.get_logger("vedette.verify")

SESSION_SECONDS = 900.0  # how long an MQTT 5 broker keeps for us what comes while the line is down
RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Interruption:
    """A time without connection; `kept` says whether the broker kept for us what was sent meanwhile."""

    seconds: float
    kept: bool
    reason: str


class Listener:
    """Subscribes to all under the prefix at the first broker of the settings (ConfigError where that is none).

    Belongs to one thread, but `subscribed` may be read by any.
    """

    def __init__(self, broker: BrokerSettings) -> None:
        self.subscribed = False
        self.interruptions: list[Interruption] = []
        self._address, self._topic = broker_addresses(broker)[0], f"{broker.topic_prefix.strip('/')}/#"
        self._options = ConnectionOptions(
            client_id=f"vedette-verify-{uuid.uuid4().hex[:8]}",
            session_expiry=SESSION_SECONDS,
            broker=broker,
        )
        self._cut: tuple[float, str] | None = None

    def hear(self, seconds: float) -> Iterator[tuple[Received, float] | None]:
        """Each message and its time of arrival (Unix) for `seconds`, and None now and then where there is none.

        Raises RetryableDelivery where the broker cannot be reached to begin with, and PermanentDelivery where it
        does not let us subscribe. A line that breaks later is mended and noted in `interruptions`.
        """
        with wake_pipe() as pipe:
            connection = self._open(pipe)
            until = clock.monotonic() + seconds  # finding out that a broker speaks 3.1.1 only may take long
            try:
                while (left := until - clock.monotonic()) > 0:
                    if connection.closed:
                        connection = self._reopen(connection, pipe, left)
                    for event in drive(connection, pipe, min(left, 0.5)):
                        if received := self._take(event):
                            yield received, clock.unix_now()
                    yield None
            finally:
                self.subscribed = False
                connection.close(forget=True)

    def _open(self, pipe: Pipe) -> Connection:
        connection = open_connection(self._address, self._options, pipe)
        connection.subscribe(self._topic)
        return connection

    def _reopen(self, connection: Connection, pipe: Pipe, left: float) -> Connection:
        """A new connection, or the closed one again where there is still none."""
        try:
            opened = self._open(pipe)
        except RetryableDelivery:
            time.sleep(min(RETRY_SECONDS, left))
            return connection
        if self._cut is not None:
            since, reason = self._cut
            kept = opened.opened is not None and opened.opened.session_present
            self.interruptions.append(
                Interruption(seconds=clock.monotonic() - since, kept=kept, reason=reason)
            )
            log.warning(
                "the broker was away", seconds=round(clock.monotonic() - since, 1), kept=kept, reason=reason
            )
            self._cut = None
        return opened

    def _take(self, event: Event) -> Received | None:
        if isinstance(event, Received):
            return event
        if isinstance(event, Subscribed):
            check_allowed(event, self._address)
            self.subscribed = True
        elif isinstance(event, Closed):
            self.subscribed = False
            self._cut = self._cut or (clock.monotonic(), event.reason)
        return None
