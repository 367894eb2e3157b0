"""When the client certificate and the broker's end: said in time to renew them, and as the likely cause afterwards.

A box is dark from that moment on. Only whoever stands before it can put another client certificate there; when the
broker's own ends, all boxes are dark at once.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from agent.config.delivery_settings import BrokerSettings
from agent.core import clock
from agent.delivery.mqtt.address import BrokerAddress

WARN_SECONDS = 14 * 86400.0
WARN_SHARE = 0.2
"""Of its life: a certificate of a day is renewed when two thirds of it are over, and 14 days would be always."""


@dataclass(frozen=True, slots=True)
class Validity:
    """From when to when (Unix times) a certificate is valid."""

    begins: float
    ends: float

    def ends_soon(self, now: float) -> bool:
        """Whether it should be renewed by now.

        >>> year, day = Validity(0.0, 365 * 86400.0), Validity(0.0, 86400.0)
        >>> year.ends_soon(350 * 86400.0), year.ends_soon(352 * 86400.0), day.ends_soon(60000.0), day.ends_soon(70000.0)
        (False, True, False, True)
        """
        return self.ends - now < min(WARN_SECONDS, WARN_SHARE * (self.ends - self.begins))


def validity(path: str) -> Validity | None:
    """Of the first certificate in a file in PEM; None where there is none that can be read."""
    try:
        return validity_of(ssl._ssl._test_decode_cert(path))  # type: ignore[attr-defined]
    except (OSError, ValueError, AttributeError):
        return None


def validity_of(decoded: Mapping[str, Any] | None) -> Validity | None:
    """Of a certificate as `ssl` decodes it (`getpeercert`); None where it gives no dates."""
    try:
        begins, ends = (ssl.cert_time_to_seconds((decoded or {})[name]) for name in ("notBefore", "notAfter"))
    except (ValueError, KeyError):
        return None
    return Validity(begins, ends)


def certificate_notice(settings: BrokerSettings, now: float) -> str:
    """A sentence where the client certificate ends soon by `now` (Unix time), or has ended; "" elsewhere."""
    found = validity(settings.cert_file) if settings.cert_file else None
    return _sentence(_ours(settings), found, now) if found is not None and found.ends_soon(now) else ""


def expired_certificate(settings: BrokerSettings) -> str:
    """A sentence where the client certificate has ended by this box's clock; "" elsewhere."""
    found, now = validity(settings.cert_file) if settings.cert_file else None, clock.unix_now()
    return _sentence(_ours(settings), found, now) if found is not None and found.ends <= now else ""


def server_notice(address: BrokerAddress, found: Validity | None, now: float) -> str:
    """A sentence where the certificate that the broker presented ends soon by `now` (Unix time); "" elsewhere."""
    whose = f"the certificate of the broker {address.shown}"
    return _sentence(whose, found, now) if found is not None and found.ends_soon(now) else ""


def _ours(settings: BrokerSettings) -> str:
    return f"the client certificate {settings.cert_file} (broker.cert_file)"


def _sentence(whose: str, found: Validity, now: float) -> str:
    moment = datetime.fromtimestamp(found.ends, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    left = found.ends - now
    days = f"in {left / 86400:.0f} days" if left >= 2 * 86400 else f"in {left / 3600:.0f} hours"
    when = f"ended on {moment}" if left <= 0 else f"ends on {moment}, {days}"
    return f"{whose} {when}"
