"""Is the broker there, does it let us in, and may we publish? For `vedette check`."""

from __future__ import annotations

import uuid
from contextlib import closing
from dataclasses import dataclass, replace
from enum import Enum

from agent.config.schema import BrokerSettings
from agent.core import clock
from agent.core.errors import RetryableDelivery
from agent.delivery.mqtt.address import BrokerAddress, broker_addresses
from agent.delivery.mqtt.beside import Pipe, drive, open_connection, wake_pipe
from agent.delivery.mqtt.connection import Acked, Closed, Connection, ConnectionOptions, ProtocolVersion, Will


class PublishRight(str, Enum):
    """Whether a broker lets us publish."""

    GRANTED = "granted"
    REFUSED = "refused"
    UNKNOWN = "unknown"  # MQTT 3.1.1 acknowledges what it throws away; a broker without QoS 1, nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class PingResult:
    """What a broker answered. `seconds` is how long connecting and logging in took; `reason` says what failed."""

    broker: str
    ok: bool
    version: str = ""
    seconds: float = 0.0
    right: PublishRight = PublishRight.UNKNOWN
    reason: str = ""


def ping(settings: BrokerSettings, topic: str, timeout: float = 5.0) -> list[PingResult]:
    """Log in at every broker of the settings, in order, and publish nothing (empty, not retained) at `topic`.

    Raises ConfigError.
    """
    return [_ping(address, settings, topic, timeout) for address in broker_addresses(settings)]


def _ping(address: BrokerAddress, settings: BrokerSettings, topic: str, timeout: float) -> PingResult:
    # Not the agent's own client id: that would throw a running agent off the broker.
    options = ConnectionOptions(
        client_id=f"vedette-check-{uuid.uuid4().hex[:8]}",
        session_expiry=0,
        timeout=timeout,
        broker=settings,
        will=Will(topic=topic, payload=b""),  # as the agent has one: a broker may refuse it
    )
    versions = (
        tuple(ProtocolVersion) if settings.protocol == "auto" else (ProtocolVersion(settings.protocol),)
    )
    started = clock.monotonic()
    try:
        with wake_pipe() as pipe, closing(open_connection(address, options, pipe, versions)) as connection:
            opened = PingResult(
                broker=address.shown,
                ok=True,
                version=connection.options.version.value,
                seconds=clock.monotonic() - started,
            )
            return _tried(opened, connection, topic, pipe, clock.monotonic() + timeout)
    except RetryableDelivery as error:
        return PingResult(broker=address.shown, ok=False, reason=str(error))


def _tried(result: PingResult, connection: Connection, topic: str, pipe: Pipe, deadline: float) -> PingResult:
    """`result` with whether `topic` may be published; nothing stays behind at the broker."""
    without_qos = connection.opened is not None and connection.opened.maximum_qos < 1
    if connection.options.version is not ProtocolVersion.V5 or without_qos:
        return result
    mid = connection.publish(topic, b"", qos=1)
    while not connection.closed and clock.monotonic() < deadline:
        for event in drive(connection, pipe, 0.2):
            if isinstance(event, Acked) and event.mid == mid:
                right = PublishRight.REFUSED if event.refused else PublishRight.GRANTED
                return replace(result, right=right, reason=event.reason.lower())
            if isinstance(event, Closed):  # some brokers hang up on who publishes what he may not
                return replace(result, right=PublishRight.REFUSED, reason=event.reason)
    return result
