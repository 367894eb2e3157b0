"""How the connection to the broker stands, for people and summaries."""

from __future__ import annotations

from dataclasses import dataclass

from agent.delivery.mqtt.failures import MEND, ConnectionFailure


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionState:
    """A snapshot for people and summaries. `state`: connected, connecting, waiting or stopped.

    `failure` is the kind of the last failure ("" while connected), `reason` says it in words, `broker` is the
    address without password, `since` (steady time) when we were connected, or ceased to be.
    """

    state: str
    since: float
    broker: str = ""
    version: str = ""
    failure: str = ""
    reason: str = ""

    @property
    def mend(self) -> str:
        """What an operator can do about it; "" where it is only to wait."""
        return MEND.get(ConnectionFailure(self.failure), "") if self.failure else ""
