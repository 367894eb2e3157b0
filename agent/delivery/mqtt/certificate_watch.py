"""Watches how long the client certificate and the broker's are valid, and says so while one should be renewed.

The broker's is known from the handshake. A connection lasts for weeks, and the broker may have been given another
certificate since: before its end is reported, a handshake of its own shows which one it presents by now.
"""

from __future__ import annotations

import math
import threading

from agent.config.delivery_settings import BrokerSettings
from agent.core import clock
from agent.core.dial import dial
from agent.core.errors import ConfigError
from agent.delivery.mqtt.address import BrokerAddress
from agent.delivery.mqtt.certificate_dates import Validity, certificate_notice, server_notice, validity_of
from agent.delivery.mqtt.tls import tls_context

LOOK_SECONDS = 3600.0
HANDSHAKE_SECONDS = 10.0


class CertificateWatch:
    """Looks at both certificates every LOOK_SECONDS; driven by the delivery thread."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self._next = -math.inf
        self._address: BrokerAddress | None = None
        self._known: Validity | None = None
        self._look: _Look | None = None
        self._own = self._brokers = ""

    @property
    def notice(self) -> str:
        """What should be renewed, and by when; "" while nothing should."""
        return "; ".join(filter(None, (self._own, self._brokers)))

    def presented(self, address: BrokerAddress, certificate: Validity | None) -> None:
        """The broker at `address` has let us in, with this certificate (None: without TLS)."""
        self._address, self._look = address, None
        self._learn(certificate)

    def look(self, now: float) -> None:
        """Do what is due at `now` (boot time)."""
        if self._look is not None and self._look.done:
            look, self._look = self._look, None
            self._learn(look.found or self._known)
        if now >= self._next:
            self._next = now + LOOK_SECONDS
            wall = clock.unix_now()
            self._own = certificate_notice(self._settings, wall)
            if self._known is not None and self._known.ends_soon(wall):
                self._ask()

    def _ask(self) -> None:
        if self._look is not None:  # since an hour: what is known has to do
            self._learn(self._known)
        elif self._address is not None:
            self._look = _Look(self._settings, self._address)
            self._look.start()

    def _learn(self, certificate: Validity | None) -> None:
        self._known = certificate
        self._brokers = server_notice(self._address, certificate, clock.unix_now()) if self._address else ""


class _Look(threading.Thread):
    """One handshake of TLS with the broker. `found` is there once `done`, None where it failed."""

    def __init__(self, settings: BrokerSettings, address: BrokerAddress) -> None:
        super().__init__(name="mqtt-certificate", daemon=True)
        self._settings, self._address = settings, address
        self.found: Validity | None = None
        self.done = False

    def run(self) -> None:
        host = self._address.host
        try:
            with (
                dial(host, self._address.port, HANDSHAKE_SECONDS) as line,
                tls_context(self._settings).wrap_socket(line, server_hostname=host) as tls,
            ):
                self.found = validity_of(tls.getpeercert())
        except (OSError, ValueError, ConfigError):  # the connection itself says what is wrong
            self.found = None
        self.done = True
