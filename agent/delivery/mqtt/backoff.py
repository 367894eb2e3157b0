"""How long to wait after which failure of a connection."""

from __future__ import annotations

from agent.delivery.mqtt.failures import ConnectionFailure

# First and longest wait in seconds.
BACKOFF: dict[ConnectionFailure, tuple[float, float]] = {
    ConnectionFailure.UNRESOLVED: (1.0, 5.0),  # name resolution comes up late at a boot
    ConnectionFailure.LOST: (1.0, 30.0),  # a thousand boxes are back half a minute after an outage
    ConnectionFailure.DENIED: (1.0, 60.0),
    ConnectionFailure.UNREACHABLE: (1.0, 30.0),
    ConnectionFailure.SILENT: (2.0, 120.0),
    ConnectionFailure.PROTOCOL: (2.0, 120.0),
    ConnectionFailure.UPGRADE: (5.0, 120.0),
    ConnectionFailure.BUSY: (5.0, 120.0),
    ConnectionFailure.CLOCK: (5.0, 60.0),
    ConnectionFailure.VERSION: (5.0, 300.0),
    ConnectionFailure.SHORT_LIVED: (5.0, 120.0),
    ConnectionFailure.TLS: (10.0, 300.0),
    ConnectionFailure.NO_RETAIN: (10.0, 300.0),
    ConnectionFailure.NO_QOS: (10.0, 300.0),
    ConnectionFailure.REFUSED: (10.0, 300.0),
    ConnectionFailure.MOVED: (10.0, 300.0),
    ConnectionFailure.CLIENT_ID: (10.0, 300.0),
    ConnectionFailure.CREDENTIALS: (5.0, 60.0),
    ConnectionFailure.CERTIFICATE: (15.0, 300.0),
    ConnectionFailure.CLIENT_CERTIFICATE: (15.0, 300.0),
    ConnectionFailure.LOGIN: (15.0, 300.0),
    ConnectionFailure.TAKEN_OVER: (30.0, 300.0),
    ConnectionFailure.BANNED: (60.0, 300.0),
}


def backoff_seconds(failure: ConnectionFailure, attempt: int, jitter: float) -> float:
    """The wait after `attempt` (from 0) rounds of failures; `jitter` in 0..1 spreads it over half to whole."""
    first, longest = BACKOFF[failure]
    return min(first * 2.0 ** min(attempt, 16), longest) * (0.5 + 0.5 * jitter)
