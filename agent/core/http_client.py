"""An HTTP client for urllib whose time limit holds for the whole header and for each read, not for each byte.

A server that sends a byte now and then would hold its caller for days, a dead address of its name for the time-out.
Use `handlers` in an opener.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import urllib.request
from collections.abc import Sequence
from typing import Any

from agent.core.certificates import trusting
from agent.core.dial import dial
from agent.core.timed_reader import TimedReader


class Response(http.client.HTTPResponse):
    """An answer that has the time-out of its connection as a whole; what follows after `extend` has it again."""

    def __init__(self, sock: socket.socket, *arguments: Any, **keywords: Any) -> None:
        super().__init__(sock, *arguments, **keywords)
        self.fp.close()
        self._reader = TimedReader(sock)
        self.fp = io.BufferedReader(self._reader)

    def extend(self) -> None:
        """Give what is read from now on the whole time anew."""
        self._reader.extend()


class _Connection(http.client.HTTPConnection):
    response_class = Response

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._create_connection = _dial


class _SafeConnection(_Connection, http.client.HTTPSConnection):
    """TLS comes from the second base, whose constructor is the next one of the first."""


def _dial(place: tuple[str, int], timeout: object, _source: object) -> socket.socket:
    """As `socket.create_connection`, whose sign for "the default" is an object of its own."""
    return dial(*place, float(timeout) if isinstance(timeout, (int, float)) else socket.getdefaulttimeout())


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_Connection, req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, context: ssl.SSLContext | None) -> None:
        super().__init__(context=context)
        self._trusted = context

    def https_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_SafeConnection, req, context=self._trusted or trusting())


def handlers(
    context: ssl.SSLContext | None = None, *, plain: bool = True
) -> Sequence[urllib.request.BaseHandler]:
    """Handlers of HTTPS by `context` (None: the system's certificates), and of HTTP where `plain`."""
    return (*((_Http(),) if plain else ()), _Https(context))
