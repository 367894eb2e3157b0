"""Tests a broker for `vedette check`: is it reachable, is the login accepted, which topics are refused?"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from enum import Enum

from agent.config.delivery_settings import BrokerSettings
from agent.core import clock
from agent.core.errors import RetryableDelivery
from agent.delivery.mqtt.address import BrokerAddress, broker_addresses
from agent.delivery.mqtt.beside import Pipe, drive, open_connection, wake_pipe
from agent.delivery.mqtt.certificate_dates import server_notice
from agent.delivery.mqtt.connection import Connection, ConnectionOptions, ProtocolVersion, Will
from agent.delivery.mqtt.events import Acked, Closed, Subscribed
from agent.delivery.mqtt.fallback import lost_at

HANG_UP_SECONDS = 0.3
_HANGS_UP = "the broker disconnects because of it ({})"

Asked = tuple[str, bool]
"""A topic, and whether it is to be subscribed to rather than published."""


class PublishRight(str, Enum):
    """Whether a broker lets us publish."""

    GRANTED = "granted"
    REFUSED = "refused"
    UNKNOWN = "unknown"  # MQTT 3.1.1 acknowledges what it throws away; a broker without QoS 1, nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class PingResult:
    """What a broker answered. `seconds` is how long connecting and logging in took; `reason` says what failed.

    `refused` has the topics that it does not let us publish, or subscribe to, each with its reason; `lost` is what the
    agent does without at this broker; `certificate` says that the broker's ends soon.
    """

    broker: str
    ok: bool
    version: str = ""
    seconds: float = 0.0
    right: PublishRight = PublishRight.UNKNOWN
    reason: str = ""
    refused: Mapping[str, str] = field(default_factory=dict)
    lost: str = ""
    certificate: str = ""


def ping(
    settings: BrokerSettings,
    topic: str,
    *,
    families: Sequence[str] = (),
    subscriptions: Sequence[str] = (),
    timeout: float = 5.0,
) -> list[PingResult]:
    """Log in at every broker of the settings, in order; publish nothing (empty, not retained) at `topic`.

    Where there are `families`, these are published instead. Subscribes to each of `subscriptions` for a moment.
    Raises ConfigError.
    """
    asked = [(one, False) for one in families or (topic,)] + [(one, True) for one in subscriptions]
    return [_ping(address, settings, topic, asked, timeout) for address in broker_addresses(settings)]


def _ping(
    address: BrokerAddress, settings: BrokerSettings, will: str, asked: list[Asked], timeout: float
) -> PingResult:
    # Not the agent's own client id: that would throw a running agent off the broker.
    options = ConnectionOptions(
        client_id=f"vedette-check-{uuid.uuid4().hex[:8]}",
        session_expiry=0,
        timeout=timeout,
        broker=settings,
        will=Will(topic=will, payload=b""),  # as the agent has one: a broker may refuse it
    )
    versions: Sequence[ProtocolVersion] | None = None
    started, result, waiting = clock.monotonic(), None, list(asked)
    refused: dict[str, str] = {}
    rights: set[PublishRight] = set()
    try:
        with wake_pipe() as pipe:
            while result is None or waiting:  # once more after each topic that the broker hangs up on
                with closing(open_connection(address, options, pipe, versions)) as connection:
                    result = result or PingResult(
                        broker=address.shown,
                        ok=True,
                        version=connection.options.version.value,
                        seconds=clock.monotonic() - started,
                        lost=_lost(connection),
                        certificate=server_notice(address, connection.certificate, clock.unix_now()),
                    )
                    versions = (connection.options.version,)
                    if connection.closed:
                        raise RetryableDelivery(f"broker {address.shown}: hangs up right after the login")
                    while waiting and not connection.closed:
                        topic, listen = waiting.pop(0)
                        right, reason = _ask(connection, topic, pipe, timeout, listen=listen)
                        rights.add(right)
                        if right is PublishRight.REFUSED:
                            refused[topic] = reason
    except RetryableDelivery as error:
        if result is None or not rights:
            return PingResult(broker=address.shown, ok=False, reason=str(error))
    if waiting:
        rights.add(PublishRight.UNKNOWN)
    return replace(result, right=_right(rights), refused=refused)


def _lost(connection: Connection) -> str:
    return lost_at(connection.opened, connection.options.demands) if connection.opened else ""


def _right(rights: set[PublishRight]) -> PublishRight:
    """What is known over all topics."""
    for one in (PublishRight.REFUSED, PublishRight.UNKNOWN):
        if one in rights:
            return one
    return PublishRight.GRANTED if rights else PublishRight.UNKNOWN


def _ask(
    connection: Connection, topic: str, pipe: Pipe, timeout: float, *, listen: bool
) -> tuple[PublishRight, str]:
    """Whether we may publish at `topic`, or subscribe to it, and why not; nothing stays behind at the broker."""
    without_qos = connection.opened is not None and connection.opened.maximum_qos < 1
    if without_qos and not listen:
        return PublishRight.UNKNOWN, ""
    mid = None
    if listen:
        connection.subscribe(topic)
    else:
        mid = connection.publish(topic, b"", qos=1)
    deadline = clock.monotonic() + timeout
    while clock.monotonic() < deadline:
        for event in drive(connection, pipe, 0.2):
            if isinstance(event, Closed):  # some brokers hang up on who does what he may not
                return PublishRight.REFUSED, _HANGS_UP.format(event.reason)
            if isinstance(event, Subscribed) and event.topic == topic:
                return (PublishRight.GRANTED if event.allowed else PublishRight.REFUSED), event.reason
            if isinstance(event, Acked) and event.mid == mid:
                if connection.options.version is ProtocolVersion.V5 and not event.refused:
                    return PublishRight.GRANTED, ""
                ended = _ended(connection, pipe)
                if event.refused:
                    return PublishRight.REFUSED, event.reason.lower()
                return (PublishRight.REFUSED, ended) if ended else (PublishRight.UNKNOWN, "")
    return PublishRight.UNKNOWN, ""


def _ended(connection: Connection, pipe: Pipe) -> str:
    """Why the connection ends right after an answer: AWS IoT and Mosquitto 2.0.11 (3.1.1) do that after a refusal."""
    until = clock.monotonic() + HANG_UP_SECONDS
    while (left := until - clock.monotonic()) > 0:
        for event in drive(connection, pipe, left):
            if isinstance(event, Closed):
                return _HANGS_UP.format(event.reason)
    return ""
