"""Names to addresses within a time: `getaddrinfo` knows none, and a name server that is silent takes minutes.

A look-up that is late goes on in its thread, and whoever asks for that name meanwhile waits for the same one: a name
holds one thread, however often it is tried.
"""

from __future__ import annotations

import socket
import threading
from typing import Any, ClassVar

SocketAddress = tuple[int, Any]
"""A family, and what `connect` takes."""

LATE = "no answer from the name server in time"


def resolve(host: str, port: int, timeout: float | None) -> list[SocketAddress]:
    """The addresses of `host` in the resolver's order, within `timeout` seconds (None: no bound).

    Raises gaierror: the name is not known, or (EAI_AGAIN) nobody said in time.
    """
    try:
        return _look_up(host, port, socket.AI_NUMERICHOST)
    except socket.gaierror:  # no address: a name
        return _look_up(host, port) if timeout is None else _Pending.of(host, port).result(timeout)


def _look_up(host: str, port: int, flags: int = 0) -> list[SocketAddress]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except UnicodeError:  # a label that is empty, or longer than 63 signs
        raise socket.gaierror(socket.EAI_NONAME, "is no name that there can be") from None
    return [(family, place) for family, _, _, _, place in found]


class _Pending:
    """One look-up under way, in a thread of its own."""

    _lock = threading.Lock()
    _all: ClassVar[dict[tuple[str, int], _Pending]] = {}

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._over = threading.Event()
        self._found: list[SocketAddress] = []
        self._error: Exception | None = None

    @classmethod
    def of(cls, host: str, port: int) -> _Pending:
        """That of this name, begun now where there is none."""
        with cls._lock:
            found = cls._all.get((host, port))
            if found is None:
                found = cls(host, port)
                threading.Thread(target=found._run, name="resolve", daemon=True).start()
                cls._all[host, port] = (
                    found  # (only now: of a thread that cannot be begun nobody waits for the end)
                )
        return found

    def _run(self) -> None:
        try:
            self._found = _look_up(self._host, self._port)
        except Exception as error:  # noqa: BLE001  (whatever it is, it is raised where the name was asked for)
            self._error = error
        with self._lock:
            del self._all[self._host, self._port]
        self._over.set()

    def result(self, timeout: float) -> list[SocketAddress]:
        """What was found; gaierror."""
        if not self._over.wait(max(timeout, 0.0)):
            raise socket.gaierror(socket.EAI_AGAIN, LATE)
        if self._error is not None:
            raise self._error
        return self._found
