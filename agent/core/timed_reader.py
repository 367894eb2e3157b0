"""Reads from a socket within a total time, so that a peer that sends single bytes blocks nobody.

The time-out of a socket begins anew with every byte.
"""

from __future__ import annotations

import io
import socket
from typing import Any

from agent.core import clock


class TimedReader(io.RawIOBase):
    """What is read from `sock`, within its time-out as a whole; TimeoutError after it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._seconds = sock, sock.gettimeout()
        self._raw: Any = sock.makefile("rb", buffering=0)
        self.extend()

    def extend(self) -> None:
        """The whole time from now on."""
        self._until = None if self._seconds is None else clock.monotonic() + self._seconds

    def readable(self) -> bool:
        """As io.RawIOBase has it."""
        return True

    def fileno(self) -> int:
        """As io.RawIOBase has it."""
        return self._sock.fileno()

    def readinto(self, buffer: Any) -> int | None:
        """As io.RawIOBase has it."""
        if self._until is not None:
            left = self._until - clock.monotonic()
            if left <= 0:
                raise TimeoutError("nothing in time")
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)  # type: ignore[no-any-return]  # socket.SocketIO

    def close(self) -> None:
        """As io.RawIOBase has it."""
        if not self.closed:
            self._raw.close()
        super().close()
