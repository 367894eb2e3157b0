"""A resource that one thread uses and any thread may close; only its user frees it."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager


class ClosedError(Exception):
    """It was closed while in use."""


class ThreadOwned(ABC):
    """Held by the thread that is inside `in_use`, freed there, however it is closed.

    FFmpeg, or a pipe, must not be freed under a thread that waits in it. So `close` from another thread only
    asks (through `_interrupt`): the thread inside frees it as soon as its wait ends.
    """

    def __init__(self) -> None:
        self._using = threading.Lock()
        self.closing = threading.Event()

    def close(self) -> None:
        """Free it now, or as soon as the thread that uses it returns; may be called twice."""
        self.closing.set()
        if self._using.acquire(blocking=False):
            try:
                self._free()
            finally:
                self._using.release()
        else:
            self._interrupt()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Use it; raises ClosedError if it is closed before or meanwhile."""
        try:
            with self._using:
                if self.closing.is_set():
                    raise ClosedError
                yield
                if self.closing.is_set():
                    raise ClosedError
        finally:
            if self.closing.is_set():
                self.close()

    def _interrupt(self) -> None:  # noqa: B027  (most need nothing: their waits have an end of their own)
        """Shorten the wait of the thread inside, if that is possible from outside."""

    @abstractmethod
    def _free(self) -> None:
        """Release everything; may be called twice."""
