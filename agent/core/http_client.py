"""HTTP for urllib whose answers come in time: the whole of a head, and of a read, not each byte of it.

The time-out of a socket begins anew with every byte, so a server that sends one now and then would hold its caller for
days. Use `handlers` in an opener.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import urllib.request
from collections.abc import Sequence
from typing import Any

from agent.core import clock


class _Bounded(io.RawIOBase):
    """What is read from `sock`, until a moment; TimeoutError after it."""

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
                raise TimeoutError("no answer in time")
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)  # type: ignore[no-any-return]  # socket.SocketIO

    def close(self) -> None:
        """As io.RawIOBase has it."""
        if not self.closed:
            self._raw.close()
        super().close()


class Response(http.client.HTTPResponse):
    """An answer that has the time-out of its connection as a whole; what follows after `extend` has it again."""

    def __init__(self, sock: socket.socket, *arguments: Any, **keywords: Any) -> None:
        super().__init__(sock, *arguments, **keywords)
        self.fp.close()
        self._bounded = _Bounded(sock)
        self.fp = io.BufferedReader(self._bounded)

    def extend(self) -> None:
        """Give what is read from now on the whole time anew."""
        self._bounded.extend()


class _Connection(http.client.HTTPConnection):
    response_class = Response


class _SafeConnection(http.client.HTTPSConnection):
    response_class = Response


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_Connection, req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, context: ssl.SSLContext | None) -> None:
        super().__init__(context=context)
        self._trusted = context

    def https_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_SafeConnection, req, context=self._trusted)


def handlers(
    context: ssl.SSLContext | None = None, *, plain: bool = True
) -> Sequence[urllib.request.BaseHandler]:
    """Handlers of HTTPS by `context` (None: the system's certificates), and of HTTP where `plain`."""
    return (*((_Http(),) if plain else ()), _Https(context))
