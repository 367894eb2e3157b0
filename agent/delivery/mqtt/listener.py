"""Hearing a broker from outside: every message under a prefix, in the order of arrival, for verification."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import structlog

from agent.config.schema import BrokerSettings
from agent.core import clock
from agent.core.errors import PermanentDelivery, RetryableDelivery
from agent.delivery.mqtt.address import BrokerAddress, broker_addresses
from agent.delivery.mqtt.connection import (
    Closed,
    Connection,
    ConnectionOptions,
    Event,
    Opened,
    ProtocolVersion,
    Received,
    Subscribed,
)
from agent.delivery.mqtt.failures import OTHER_VERSION, ConnectionFailure
from agent.delivery.mqtt.fallback import ask_less

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
    """Subscribes to all under `prefix`; belongs to one thread, but `subscribed` may be read by any."""

    def __init__(
        self,
        address: BrokerAddress,
        prefix: str,
        *,
        ca_file: str = "",
        cert_file: str = "",
        key_file: str = "",
    ) -> None:
        self.subscribed = False
        self.interruptions: list[Interruption] = []
        self._address, self._topic = address, f"{prefix}/#"
        self._options = ConnectionOptions(
            client_id=f"vedette-verify-{uuid.uuid4().hex[:8]}",
            session_expiry=SESSION_SECONDS,
            ca_file=ca_file,
            cert_file=cert_file,
            key_file=key_file,
        )
        self._cut: tuple[float, str] | None = None

    @classmethod
    def of(cls, broker: BrokerSettings) -> Listener:
        """A listener at the first broker of the settings; raises ConfigError."""
        return cls(
            broker_addresses(broker)[0],
            broker.topic_prefix.strip("/"),
            ca_file=broker.ca_file,
            cert_file=broker.cert_file,
            key_file=broker.key_file,
        )

    def hear(self, seconds: float) -> Iterator[tuple[Received, float] | None]:
        """Each message and its time of arrival (Unix) for `seconds`, and None now and then where there is none.

        Raises RetryableDelivery where the broker cannot be reached to begin with, and PermanentDelivery where it
        does not let us subscribe. A line that breaks later is mended and noted in `interruptions`.
        """
        pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        connection = self._open(pipe)
        until = clock.monotonic() + seconds  # finding out that a broker speaks 3.1.1 only may take long
        try:
            while (left := until - clock.monotonic()) > 0:
                if connection.closed:
                    connection = self._reopen(connection, pipe, left)
                connection.drive(min(left, 0.5), pipe[0], clock.monotonic())
                awake(pipe[0])
                while connection.events:
                    if received := self._take(connection.events.popleft()):
                        yield received, clock.unix_now()
                yield None
        finally:
            self.subscribed = False
            connection.close(forget=True)
            os.close(pipe[0])
            os.close(pipe[1])

    def _open(self, pipe: tuple[int, int]) -> Connection:
        connection = open_connection(self._address, self._options, pipe)
        connection.subscribe(self._topic)
        return connection

    def _reopen(self, connection: Connection, pipe: tuple[int, int], left: float) -> Connection:
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
            if not event.allowed:
                raise PermanentDelivery(
                    f"broker {self._address.shown}: may not subscribe to {self._topic}: {event.reason}"
                )
            self.subscribed = True
        elif isinstance(event, Closed):
            self.subscribed = False
            self._cut = self._cut or (clock.monotonic(), event.reason)
        return None


def open_connection(
    address: BrokerAddress,
    options: ConnectionOptions,
    pipe: tuple[int, int],
    versions: Sequence[ProtocolVersion] = tuple(ProtocolVersion),
) -> Connection:
    """A connection that the broker has let in, with the first version it speaks; raises RetryableDelivery."""
    reason = ""
    for version in versions:
        started = clock.monotonic()
        # a 3.1.1 broker would keep our session for ever
        expiry = options.session_expiry if version is ProtocolVersion.V5 else 0.0
        tried = replace(options, version=version, session_expiry=expiry)
        while True:
            connection = Connection(address, tried, lambda: _wake(pipe[1]), started)
            connection.start()
            failure, reason = _wait(connection, pipe[0])
            if failure is None:
                return connection
            less = ask_less(tried.demands, failure)
            if less is None:
                break
            tried = replace(tried, demands=less)
        if failure not in OTHER_VERSION:
            break
    raise RetryableDelivery(f"broker {address.shown}: {reason}")


def _wait(connection: Connection, wake_fd: int) -> tuple[ConnectionFailure | None, str]:
    while True:
        connection.drive(0.2, wake_fd, clock.monotonic())
        awake(wake_fd)
        while connection.events:
            event = connection.events.popleft()
            if isinstance(event, Opened):
                return None, ""
            if isinstance(event, Closed):
                return event.failure, event.reason


def _wake(descriptor: int) -> None:
    with suppress(OSError):  # closed meanwhile: nobody waits any more
        os.write(descriptor, b"\0")


def awake(descriptor: int) -> None:
    """Take what woke us out of the pipe."""
    with suppress(BlockingIOError):
        os.read(descriptor, 4096)
