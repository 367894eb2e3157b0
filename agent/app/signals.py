"""Stop and reload as requested by signals.

Laws
----
1. A handler runs in the main thread between any two of its steps, also while that holds a lock: so it takes none, calls
   nothing that does, and only notes what was requested and writes one byte.
2. A request is never lost: one that comes before `wait` ends it at once.
3. A handler may be interrupted by the next signal, and that by another: within one that writes its byte, the others
   only note theirs, or a storm of signals would nest without end.
"""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress


class SignalRequests:
    """Requests since it was made; belongs to the main thread. A reload requested during the start follows it."""

    def __init__(self) -> None:
        self.stop = False
        self._reload = self._waking = False
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGHUP, self._on_reload)

    def catch_stop(self) -> None:
        """From now on SIGTERM and SIGINT request a stop; a second one ends the process at once."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)

    def take_reload(self) -> bool:
        """Whether a reload was requested since the last call."""
        requested, self._reload = self._reload, False
        return requested

    def wait(self, seconds: float) -> None:
        """Wait for a request, `seconds` at most."""
        select.select((self._reader,), (), (), seconds)
        with suppress(BlockingIOError):
            os.read(self._reader, 4096)

    def _on_stop(self, number: int, _frame: object) -> None:
        self.stop = True
        self._wake()
        signal.signal(number, signal.SIG_DFL)

    def _on_reload(self, _number: int, _frame: object) -> None:
        self._reload = True
        self._wake()

    def _wake(self) -> None:
        if self._waking:
            return
        self._waking = True
        try:
            os.write(self._writer, b".")
        except BlockingIOError:  # it is full of earlier requests
            pass
        finally:
            self._waking = False
