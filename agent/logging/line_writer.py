"""Writes log lines in a thread of its own: an output that is blocked, full or broken stops no thread that logs.

Laws
----
1. Lines are written in the order in which they were put.
2. `put` returns once its line is written: what was logged before a crash is not lost by the crash.
3. It waits for PATIENCE_SECONDS at most, and not at all from then on until the output takes lines again.
4. At most MOST_WAITING characters wait; beyond that the oldest lines are dropped.
5. Lines that were dropped or refused (closed pipe, full disk) are counted. The count and the reason are written
   before the first line that is taken again.
6. `close` returns within its timeout, whatever the output does.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sized
from typing import Generic, TextIO, TypeVar

from agent.core.terminal import UnbufferedStream, discard_output, raw_stream

PATIENCE_SECONDS = 0.25
CLOSE_SECONDS = 1.0
MOST_WAITING = 1024 * 1024

Line = TypeVar("Line", bound=Sized)


class LineWriter(Generic[Line]):
    """Passes lines to `write`, in one thread. `lost` makes the line for so many lost lines and a reason."""

    def __init__(
        self,
        write: Callable[[Line], object],
        lost: Callable[[int, str], Line],
        *,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self._write, self._lost_line, self._most = write, lost, most_waiting
        self._changed = threading.Condition()  # guards all that follows
        self._waiting: deque[Line] = deque()
        self._size = 0
        self._put = self._done = 0  # numbers of the newest line put, and of the newest that waits no more
        self._stalled = self._closed = False
        self._lost, self._reason = 0, ""
        self._thread: threading.Thread | None = None

    def put(self, line: Line) -> None:
        """Hand `line` over and wait until it is written, but never for an output that is blocked."""
        with self._changed:
            if self._closed:
                return
            self._start()
            self._waiting.append(line)
            self._size += len(line)
            self._put += 1
            number = self._put
            self._drop_oldest()
            self._changed.notify_all()
            if not self._stalled and not self._changed.wait_for(
                lambda: self._done >= number, PATIENCE_SECONDS
            ):
                self._stalled = True

    def close(self, timeout: float = CLOSE_SECONDS) -> bool:
        """Write what waits, within `timeout` seconds; whether that was done. Later lines are ignored."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout)
        return thread is None or not thread.is_alive()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="log", daemon=True)
            self._thread.start()

    def _drop_oldest(self) -> None:
        while self._size > self._most and len(self._waiting) > 1:
            self._size -= len(self._waiting.popleft())
            self._done += 1
            self._lost += 1
            self._reason = "the output was blocked"

    def _run(self) -> None:
        while (line := self._next()) is not None:
            self._report_lost()
            refused = self._refusal(line)
            with self._changed:
                self._done += 1
                if refused:
                    self._lost, self._reason = self._lost + 1, refused
                self._stalled = self._stalled and bool(self._waiting)
                self._changed.notify_all()

    def _next(self) -> Line | None:
        """The next line; None once it is closed and nothing waits."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return None
            line = self._waiting.popleft()
            self._size -= len(line)
            return line

    def _report_lost(self) -> None:
        with self._changed:
            lost, reason = self._lost, self._reason
        if lost and not self._refusal(self._lost_line(lost, reason)):
            with self._changed:
                self._lost -= lost

    def _refusal(self, line: Line) -> str:
        """Write `line`; the reason where the output refuses it, else an empty text."""
        try:
            self._write(line)
        except OSError as error:
            return error.strerror or str(error)
        except ValueError as error:  # what Python raises of a closed file
            return str(error)
        return ""


def write_within(stream: TextIO, text: str, seconds: float = CLOSE_SECONDS) -> None:
    """Write `text`, but wait `seconds` at most where the output is blocked; what it refuses is lost."""
    stream = UnbufferedStream.of(raw_stream(stream))
    writer = LineWriter[str](stream.write, lambda _lines, _reason: "")
    writer.put(text)
    if not writer.close(seconds):
        discard_output(stream)


class LineStream:
    """A text stream for others than the log, whose whole lines go to `put`; the rest is as `beneath` has it."""

    def __init__(self, put: Callable[[str], object], beneath: object) -> None:
        self._put, self._beneath = put, beneath
        self._lock = threading.Lock()
        self._half = ""

    def write(self, text: str) -> int:
        """Pass whole lines on; a line that is not ended yet waits for its end."""
        with self._lock:
            whole, newline, self._half = (self._half + text).rpartition("\n")
        if newline:
            self._put(whole)
        return len(text)

    def flush(self) -> None:
        """Whole lines are passed on at once."""

    def __getattr__(self, name: str) -> object:
        return getattr(self._beneath, name)
