"""Hearing a broker from outside: every message under a prefix, in the order of arrival, for verification."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from agent.delivery.mqtt import Closed, Connection, Failure, Opened, Options, Received, Version
from agent.delivery.urls import BrokerAddress
from agent.errors import RetryableDelivery


def listen(
    address: BrokerAddress, prefix: str, seconds: float, *, ca_file: str = ""
) -> Iterator[tuple[Received, float]]:
    """Each message and its time of arrival (Unix) for `seconds`; raises RetryableDelivery when cut off."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    connection = open_connection(
        address,
        Options(client_id=f"vedette-verify-{uuid.uuid4().hex[:8]}", session_expiry=0, ca_file=ca_file),
        (reading, writing),
    )
    try:
        connection.subscribe(f"{prefix}/#")
        until = _now() + seconds
        while (left := until - _now()) > 0:
            connection.drive(min(left, 0.5), reading, _now())
            while connection.events:
                event = connection.events.popleft()
                if isinstance(event, Received):
                    yield event, time.time()  # noqa: TID251
                elif isinstance(event, Closed):
                    raise RetryableDelivery(f"broker {address.shown}: {event.reason}")
    finally:
        connection.close()
        os.close(reading)
        os.close(writing)


def open_connection(
    address: BrokerAddress,
    options: Options,
    pipe: tuple[int, int],
    versions: Sequence[Version] = tuple(Version),
) -> Connection:
    """A connection that the broker has let in, with the first version it speaks; raises RetryableDelivery."""
    reason = ""
    for version in versions:
        started = _now()
        connection = Connection(
            address,
            replace(options, version=version),
            lambda: _wake(pipe[1]),
            started,
        )
        connection.start()
        failure, reason = _wait(connection, pipe[0])
        if failure is None:
            return connection
        if failure not in {Failure.VERSION, Failure.LOST}:
            break
    raise RetryableDelivery(f"broker {address.shown}: {reason}")


def _wait(connection: Connection, wake_fd: int) -> tuple[Failure | None, str]:
    while True:
        connection.drive(0.2, wake_fd, _now())
        while connection.events:
            event = connection.events.popleft()
            if isinstance(event, Opened):
                return None, ""
            if isinstance(event, Closed):
                return event.failure, event.reason


def _wake(descriptor: int) -> None:
    with suppress(OSError):  # closed meanwhile: nobody waits any more
        os.write(descriptor, b"\0")


def _now() -> float:
    return time.monotonic()  # noqa: TID251
