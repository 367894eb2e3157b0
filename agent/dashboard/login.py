"""The login of one subscriber: read for each connection, and again shortly before a token ends.

What was rotated in a file counts at the next connection. Where a password says when it ends (a JWT, a shared access
signature), another is read before that, and the connection is made anew with it: the broker has no reason to hang up.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from ssl import SSLContext

import paho.mqtt.client as mqtt
from paho.mqtt.properties import Properties

from agent.config.delivery_settings import BrokerSettings
from agent.core import clock
from agent.core.errors import ConfigError
from agent.delivery.mqtt.address import BrokerAddress
from agent.delivery.mqtt.login import Credentials, log_in, read_credentials
from agent.delivery.mqtt.tls import load_files
from agent.delivery.mqtt.tokens import renew_after

LONGEST_WAIT_SECONDS = 60.0
"""The wall clock may be set: when a token is due is looked at this often."""
RETRY_SHARE = 0.25
RETRY_SECONDS = 10.0


class LoginError(OSError):
    """The login cannot be read now: paho takes it for a connection that failed, and tries again later."""


class Login:
    """Logs `client` in: `read` before each connection; `close` may be called twice.

    `properties` are those of its CONNECT, where it has some.
    """

    def __init__(
        self,
        client: mqtt.Client,
        settings: BrokerSettings,
        address: BrokerAddress,
        context: SSLContext | None,
    ) -> None:
        self._client, self._settings, self._address, self._context = client, settings, address, context
        self._changed = threading.Condition()
        self._ends: float | None = None
        self._next: Credentials | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self.properties: Properties | None = None

    def read(self) -> None:
        """Give the client its login and certificates; raises LoginError."""
        try:
            if self._context is not None:
                load_files(self._context, self._settings)
            credentials, self._next = self._next or read_credentials(self._settings, self._address), None
        except ConfigError as error:
            raise LoginError(str(error)) from None
        log_in(self._client, self._settings, credentials, self.properties)
        with self._changed:
            self._ends = credentials.expires_at
            self._changed.notify()
            if self._ends is not None and self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._renew, name="mqtt-login", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Renew no more; to be called before the client is disconnected."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _renew(self) -> None:
        """The thread: one renewal after the other."""
        tried = float("-inf")
        while ends := self._due(tried):
            try:
                found = read_credentials(self._settings, self._address)
            except ConfigError:
                found = None
            tried = clock.monotonic()
            if found is not None and (found.expires_at is None or found.expires_at > ends):
                self._next = found
                self._connect_anew()

    def _due(self, tried: float) -> float | None:
        """Waits until the token in use ends soon; when it ends. None once there is nothing more to do."""
        with self._changed:
            while not self._closed:
                after = renew_after(self._ends, clock.unix_now())
                if self._ends is not None and after is not None:
                    left = self._ends - clock.unix_now()
                    again = tried + max(RETRY_SECONDS, RETRY_SHARE * left) - clock.monotonic()
                    after = max(after, again) if after <= 0 else after
                    if after <= 0:
                        return self._ends
                self._changed.wait(min(after or LONGEST_WAIT_SECONDS, LONGEST_WAIT_SECONDS))
        return None

    def _connect_anew(self) -> None:
        """Replace the connection by one with the next login: the session, if the broker keeps one, goes on."""
        self._client.disconnect()
        self._client.loop_stop()
        with suppress(OSError, ValueError):  # the broker is away: the loop tries again
            self._client.reconnect()
        self._client.loop_start()
