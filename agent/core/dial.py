"""Opens a TCP connection to a name with several addresses, some of them dead (RFC 8305, "Happy Eyeballs").

`socket.create_connection` gives each address the whole time-out: behind two dead ones (IPv6 that leads nowhere, a load
balancer that is gone) nobody waits for the third. Here each gets a head start of `HEAD_START_SECONDS`, and the first
that answers is taken.
"""

from __future__ import annotations

import math
import os
import selectors
import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain, zip_longest
from typing import Any

from agent.core import clock
from agent.core.resolve import SocketAddress, resolve

HEAD_START_SECONDS = 0.25  # RFC 8305, section 8


def dial(host: str, port: int, timeout: float | None) -> socket.socket:
    """Connect within `timeout` seconds (None: no bound), the look-up of the name included; it becomes the time-out of
    the socket.

    Raises OSError, of which gaierror is one: the name is not known, or no name server says in time.
    """
    deadline = math.inf if timeout is None else clock.monotonic() + timeout
    with _Race(_in_turn(resolve(host, port, timeout))) as race:
        connected = race.run(deadline)
    connected.settimeout(timeout)
    return connected


def _in_turn(addresses: Iterable[SocketAddress]) -> Iterator[SocketAddress]:
    """One of each family after the other, the resolver's first choice first.

    >>> [place for _, place in _in_turn([(10, "a"), (10, "b"), (2, "c")])]
    ['a', 'c', 'b']
    """
    by_family: dict[int, list[SocketAddress]] = {}
    for address in dict.fromkeys(addresses):
        by_family.setdefault(address[0], []).append(address)
    return (address for address in chain(*zip_longest(*by_family.values())) if address is not None)


class _Race:
    """Attempts that have begun; all but the one that is taken are closed in the end."""

    def __init__(self, addresses: Iterator[SocketAddress]) -> None:
        self._addresses, self._waiting = addresses, selectors.DefaultSelector()
        self._error: OSError = TimeoutError("timed out")

    def __enter__(self) -> _Race:
        return self

    def __exit__(self, *_: object) -> None:
        for key in list(self._waiting.get_map().values()):
            self._drop(key.fileobj)
        self._waiting.close()

    def run(self, deadline: float) -> socket.socket:
        """The first that is connected."""
        more = self._begin_next()
        while more or self._waiting.get_map():
            left = deadline - clock.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            left = min(left, HEAD_START_SECONDS) if more else left
            ready = self._waiting.select(left if math.isfinite(left) else None)
            for key, _ in ready:
                if taken := self._settle(key.fileobj):
                    return taken
            more = more and self._begin_next()
        raise self._error

    def _begin_next(self) -> bool:
        """Begin with the next address that can be tried at all; False after the last."""
        for family, place in self._addresses:
            attempt = None
            try:
                attempt = socket.socket(family, socket.SOCK_STREAM)
                attempt.setblocking(False)
                with suppress(BlockingIOError):
                    attempt.connect(place)
            except OSError as error:  # no IPv6 here, no route to it
                self._error = error
                if attempt is not None:
                    attempt.close()
                continue
            self._waiting.register(attempt, selectors.EVENT_WRITE)
            return True
        return False

    def _settle(self, attempt: Any) -> socket.socket | None:
        """The attempt, where it is connected."""
        code = attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._error = OSError(code, os.strerror(code))
            self._drop(attempt)
            return None
        self._waiting.unregister(attempt)
        taken: socket.socket = attempt
        return taken

    def _drop(self, attempt: Any) -> None:
        self._waiting.unregister(attempt)
        attempt.close()
