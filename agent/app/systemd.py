"""The service manager's protocol: readiness, status line, watchdog, reloads (sd_notify over a datagram socket)."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from agent.core import clock

EXTEND_SECONDS = 30.0
"""How much more time a start is given with each sign that it goes on."""

LONGEST_START_SECONDS = 3600.0
"""After which no more time is asked for: an engine build takes minutes, not hours."""


class SystemdNotifier:
    """Notifies systemd where it is the service manager ($NOTIFY_SOCKET); does nothing elsewhere."""

    def __init__(self, address: str | None = None) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "") if address is None else address

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

    def reloading(self) -> None:
        """Notify that a reload begins; `send("READY=1")` notifies its end."""
        self.send("RELOADING=1", f"MONOTONIC_USEC={clock.monotonic_ns() // 1000}")

    @contextmanager
    def stopping(self, seconds: float, every: float = 1.0) -> Iterator[None]:
        """Feed the watchdog while the body runs, for `seconds` at most: stopping takes its time, and may not hang."""
        done = threading.Event()

        def feed() -> None:
            until = clock.monotonic() + seconds
            while clock.monotonic() < until:
                self.send("WATCHDOG=1")
                if done.wait(every):
                    return

        threading.Thread(target=feed, name="stopping", daemon=True).start()
        try:
            yield
        finally:
            done.set()

    @contextmanager
    def starting(self, text: str, every: float = 5.0) -> Iterator[None]:
        """While the body runs, send `text` as the status and ask for more time, so that a long start is no timeout."""
        done = threading.Event()

        def report() -> None:
            began = clock.monotonic()
            while (passed := clock.monotonic() - began) < LONGEST_START_SECONDS:
                so_far = f" ({passed:.0f} s)" if passed >= 1 else ""
                self.send(f"STATUS={text}{so_far}", f"EXTEND_TIMEOUT_USEC={int(EXTEND_SECONDS * 1e6)}")
                if done.wait(every):
                    return

        thread = threading.Thread(target=report, name="starting", daemon=True)
        if self._address:
            thread.start()
        try:
            yield
        finally:
            done.set()
            if self._address:
                thread.join()
