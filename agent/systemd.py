"""The service manager's protocol: readiness, status line, watchdog (sd_notify over a datagram socket)."""

from __future__ import annotations

import os
import socket


class Notifier:
    """Talks to systemd where it asked for it ($NOTIFY_SOCKET); silent elsewhere."""

    def __init__(self, address: str | None = None) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "") if address is None else address

    @property
    def watchdog_seconds(self) -> float | None:
        """How often systemd wants a sign of life, if it does, from this process."""
        own = os.environ.get("WATCHDOG_PID") in (None, str(os.getpid()))
        interval = os.environ.get("WATCHDOG_USEC", "")
        return int(interval) / 1e6 if own and interval.isdigit() and int(interval) > 0 else None

    def send(self, *lines: str) -> None:
        """Send lines such as `READY=1`; a service manager that went away is no reason to fail."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            try:
                channel.sendto("\n".join(lines).encode(), address)
            except OSError:
                return
