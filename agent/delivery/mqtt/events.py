"""What a connection to a broker reports: plain values, in the order in which they came."""

from __future__ import annotations

from dataclasses import dataclass

from agent.delivery.mqtt.failures import ConnectionFailure

PACKET_OVERHEAD = 64  # fixed header, topic length, packet id, properties
_REFUSED = 0x80  # reason codes of MQTT 5 from here on are refusals


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The broker let us in; what it allows."""

    receive_maximum: int
    maximum_packet: int | None
    maximum_qos: int
    retain_available: bool
    session_present: bool

    @property
    def qos(self) -> int:
        """The quality of service to publish with: at least once, where the broker has it."""
        return min(1, self.maximum_qos)

    def too_large(self, topic: str, payload: bytes) -> str:
        """Why it does not take so much, as it has announced; "" where it does."""
        largest = self.maximum_packet
        if largest is None or len(payload) + len(topic.encode()) + PACKET_OVERHEAD <= largest:
            return ""
        return f"{len(payload)} bytes, the broker takes packets of {largest}"


UNLIMITED = Opened(
    receive_maximum=65535, maximum_packet=None, maximum_qos=2, retain_available=True, session_present=False
)
"""What MQTT allows where the broker has announced nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """There is no connection (any more); reported once, last. `ours`: it was replaced by another, on purpose.

    `code` is the broker's own reason code (MQTT 5), 0 where it gave none.
    """

    failure: ConnectionFailure
    reason: str
    ours: bool = False
    code: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Acked:
    """The broker's answer to the publish `mid`."""

    mid: int
    code: int
    reason: str

    @property
    def refused(self) -> bool:
        """Whether the broker did not take it."""
        return self.code >= _REFUSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A message for us."""

    topic: str
    payload: bytes
    retained: bool
    response_topic: str | None
    correlation: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed:
    """The broker's answer to `subscribe`; `allowed` False: its access rules forbid it."""

    topic: str
    allowed: bool
    reason: str


Event = Opened | Closed | Acked | Received | Subscribed
