"""Is the broker there, and does it let us in? For `vedette check`."""

from __future__ import annotations

import os
import time
import uuid
from contextlib import closing
from dataclasses import dataclass

from agent.config.schema import BrokerSettings
from agent.delivery.listener import open_connection
from agent.delivery.mqtt import Options, Version
from agent.delivery.urls import BrokerAddress, broker_addresses
from agent.errors import RetryableDelivery


@dataclass(frozen=True, slots=True, kw_only=True)
class PingResult:
    """What a broker answered. `seconds` is how long connecting and logging in took; `reason` why it failed."""

    broker: str
    ok: bool
    version: str = ""
    seconds: float = 0.0
    reason: str = ""


def ping(settings: BrokerSettings, timeout: float = 5.0) -> list[PingResult]:
    """Log in at every broker of the settings, in order, and publish nothing; raises ConfigError."""
    return [_ping(address, settings, timeout) for address in broker_addresses(settings)]


def _ping(address: BrokerAddress, settings: BrokerSettings, timeout: float) -> PingResult:
    # Not the agent's own client id: that would throw a running agent off the broker.
    options = Options(
        client_id=f"vedette-check-{uuid.uuid4().hex[:8]}",
        session_expiry=0,
        timeout=timeout,
        ca_file=settings.ca_file,
        cert_file=settings.cert_file,
        key_file=settings.key_file,
    )
    versions = tuple(Version) if settings.protocol == "auto" else (Version(settings.protocol),)
    pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    started = time.monotonic()  # noqa: TID251
    try:
        with closing(open_connection(address, options, pipe, versions)) as connection:
            return PingResult(
                broker=address.shown,
                ok=True,
                version=connection.options.version.value,
                seconds=time.monotonic() - started,  # noqa: TID251
            )
    except RetryableDelivery as error:
        return PingResult(broker=address.shown, ok=False, reason=str(error))
    finally:
        os.close(pipe[0])
        os.close(pipe[1])
