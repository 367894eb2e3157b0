"""Connections of commands that run beside the agent: opened and driven in the caller's own thread."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from agent.core import clock
from agent.core.errors import PermanentDelivery, RetryableDelivery
from agent.delivery.mqtt.address import BrokerAddress
from agent.delivery.mqtt.connection import Connection, ConnectionOptions, ProtocolVersion
from agent.delivery.mqtt.events import Closed, Event, Opened, Subscribed
from agent.delivery.mqtt.failures import MEND, OTHER_VERSION, ConnectionFailure
from agent.delivery.mqtt.fallback import ask_less

Pipe = tuple[int, int]
"""The reading and the writing end, by which a connection's own threads wake the caller."""


@contextmanager
def wake_pipe() -> Iterator[Pipe]:
    """A pipe for `open_connection` and `drive`; closed at the end."""
    pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield pipe
    finally:
        os.close(pipe[0])
        os.close(pipe[1])


def drive(connection: Connection, pipe: Pipe, seconds: float) -> list[Event]:
    """What happens on the connection within so many seconds, in order; returns early when something does."""
    _drive(connection, pipe[0], seconds)
    events = list(connection.events)
    connection.events.clear()
    return events


def check_allowed(answer: Subscribed, address: BrokerAddress) -> None:
    """Raise PermanentDelivery where the broker does not let us subscribe."""
    if not answer.allowed:
        raise PermanentDelivery(
            f"broker {address.shown}: may not subscribe to {answer.topic}: {answer.reason}"
        )


def open_connection(
    address: BrokerAddress,
    options: ConnectionOptions,
    pipe: Pipe,
    versions: Sequence[ProtocolVersion] | None = None,
) -> Connection:
    """A connection that the broker has let in, with the first version it speaks; raises RetryableDelivery.

    `versions` are those of the config where none are given.
    """
    failure, reason = ConnectionFailure.LOST, ""
    for version in versions or [ProtocolVersion(one) for one in options.broker.protocols]:
        started = clock.monotonic()
        # a 3.1.1 broker would keep our session for ever
        expiry = options.session_expiry if version is ProtocolVersion.V5 else 0.0
        tried = replace(options, version=version, session_expiry=expiry)
        while True:
            connection = Connection(address, tried, lambda: _wake(pipe[1]), started)
            connection.start()
            ended = _wait(connection, pipe[0])
            if ended is None:
                return connection
            failure, reason = ended
            less = ask_less(tried.demands, failure)
            if less is None:
                break
            tried = replace(tried, demands=less)
        if failure not in OTHER_VERSION:
            break
    mend = MEND.get(failure, "")
    raise RetryableDelivery(f"broker {address.shown}: {reason}{mend and f'; {mend}'}")


def _wait(connection: Connection, wake_fd: int) -> tuple[ConnectionFailure, str] | None:
    while True:
        _drive(connection, wake_fd, 0.2)
        while connection.events:  # what follows `Opened` is the caller's
            event = connection.events.popleft()
            if isinstance(event, Opened):
                return None
            if isinstance(event, Closed):
                return event.failure, event.reason


def _drive(connection: Connection, wake_fd: int, seconds: float) -> None:
    connection.drive(seconds, wake_fd, clock.monotonic())
    with suppress(BlockingIOError):  # what woke us
        os.read(wake_fd, 4096)


def _wake(descriptor: int) -> None:
    with suppress(OSError):  # closed meanwhile: nobody waits any more
        os.write(descriptor, b"\0")
