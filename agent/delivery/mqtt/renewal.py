"""Reads another login shortly before the token in use ends, so that the broker has no reason to hang up.

The connection in use goes on meanwhile: it is replaced only once there is a login that lasts longer.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

import structlog

from agent.config.delivery_settings import BrokerSettings
from agent.core import clock
from agent.core.errors import ConfigError
from agent.delivery.mqtt.address import BrokerAddress
from agent.delivery.mqtt.login import Credentials, read_credentials
from agent.delivery.mqtt.tokens import renew_after

log = structlog.get_logger("vedette.delivery")

RETRY_SHARE = (
    0.25  # of what is left; so a token that is late is found in time, and the command is not run all the time
)
RETRY_SECONDS = 10.0


class LoginRenewal:
    """The end of one connection's login; driven by the delivery thread, `now` is boot time."""

    def __init__(self, broker: BrokerSettings, wake: Callable[[], None]) -> None:
        self._broker, self._wake = broker, wake
        self._credentials: Credentials | None = None
        self._due = math.inf
        self._reading: _Reading | None = None
        self._warned = False

    def begin(self, credentials: Credentials | None, now: float) -> None:
        """A connection was opened with `credentials`, or the clock was set since."""
        self._credentials, self._reading, self._warned = credentials, None, False
        after = renew_after(credentials.expires_at, clock.unix_now()) if credentials else None
        self._due = math.inf if after is None else now + after

    def end(self) -> None:
        """The connection ended: the next one reads the login itself."""
        self.begin(None, 0.0)

    def clock_changed(self, now: float) -> None:
        """The wall clock was set: the end of the token is at another time from now."""
        self.begin(self._credentials, now)

    def step(self, address: BrokerAddress, now: float) -> Credentials | None:
        """The next login at `address`, once it is due and there."""
        if now < self._due or self._credentials is None:
            return None
        if self._reading is None:
            self._reading = _Reading(self._broker, address, self._wake)
            self._reading.start()
        if not self._reading.done:
            return None
        found, problem, self._reading = self._reading.credentials, self._reading.problem, None
        if found is not None and self._lasts_longer(found):
            return found
        self._retry(problem or "what was read does not last longer", now)
        return None

    def _lasts_longer(self, found: Credentials) -> bool:
        before = self._credentials.expires_at if self._credentials else None
        return found.expires_at is None or before is None or found.expires_at > before

    def _retry(self, problem: str, now: float) -> None:
        ends = self._credentials.expires_at if self._credentials else None
        left = (ends or 0.0) - clock.unix_now()
        self._due = now + max(RETRY_SECONDS, RETRY_SHARE * left) if left > 0 else math.inf
        if not self._warned:
            self._warned = True
            log.warning(
                "the broker login expires soon, and there is no new one yet",
                seconds=round(left),
                reason=problem,
            )


class _Reading(threading.Thread):
    """One reading of a login. `credentials` or `problem` is there once `done`."""

    def __init__(self, broker: BrokerSettings, address: BrokerAddress, wake: Callable[[], None]) -> None:
        super().__init__(name="mqtt-login", daemon=True)
        self._broker, self._address, self._wake = broker, address, wake
        self.credentials: Credentials | None = None
        self.problem = ""
        self.done = False

    def run(self) -> None:
        try:
            self.credentials = read_credentials(self._broker, self._address)
        except ConfigError as error:
            self.problem = str(error)
        self.done = True
        self._wake()
