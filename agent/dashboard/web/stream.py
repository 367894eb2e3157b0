"""The live rows and one buffer of their changes, from which every viewer reads at its own pace.

A change is encoded once, whoever reads it. A viewer that fell behind the buffer starts again with all rows.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from agent.dashboard.web.rows import COLUMNS, Cell, differences
from agent.dashboard.web.store import to_text

BUFFERED = 120
MOST_VIEWERS = 200
BEAT_SECONDS = 15.0
_BEAT = b": beat\n\n"
Key = tuple[str, str]


class RowStream:
    """Rows by device; filled by the collector's thread, read by the server's. `first` begins the revisions.

    `first` grows from start to start (milliseconds of Unix time), so that a viewer of an earlier run is noticed.
    """

    def __init__(self, first: int) -> None:
        self._lock = threading.Lock()
        self._revision = first
        self._oldest = first
        self._rows: dict[Key, tuple[Cell, ...]] = {}
        self._numbers: dict[Key, int] = {}
        self._next = 0
        self._note: Mapping[str, Any] = {}
        self._events: deque[tuple[int, bytes]] = deque(maxlen=BUFFERED)
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._closed = False
        self.viewers = 0

    def publish(
        self, rows: Mapping[Key, tuple[Cell, ...]], note: Mapping[str, Any], *, removed: tuple[Key, ...] = (),
        alerts: bool = False,
    ) -> None:  # fmt: skip
        """Take in the newest rows of some devices; viewers get what is different, if anything is."""
        with self._lock:
            change = self._change(rows, removed)
            if alerts:
                change["alerts"] = True
            if note != self._note:
                self._note = change["note"] = dict(note)
            if not change:
                return
            self._revision += 1
            text = f"id: {self._revision}\ndata: {to_text(change)}\n\n"
            if len(self._events) == BUFFERED:
                self._oldest = self._events[0][0]
            self._events.append((self._revision, text.encode()))
            waiting = list(self._waiting)
        _wake(waiting)

    def _change(self, rows: Mapping[Key, tuple[Cell, ...]], removed: tuple[Key, ...]) -> dict[str, Any]:
        new, changed = [], []
        for key, row in rows.items():
            before = self._rows.get(key)
            self._rows[key] = row
            if before is None:
                self._next += 1
                self._numbers[key] = self._next
                new.append([self._next, *row])
            elif cells := differences(before, row):
                changed.append([self._numbers[key], cells])
        dropped = [self._numbers.pop(key) for key in removed if self._rows.pop(key, None) is not None]
        return {name: value for name, value in zip(_PARTS, (new, changed, dropped), strict=True) if value}

    def snapshot(self) -> dict[str, Any]:
        """All rows, each with its number in front, and the revision that they are at."""
        with self._lock:
            rows = [[self._numbers[key], *row] for key, row in self._rows.items()]
            return {"revision": self._revision, "columns": COLUMNS, "rows": rows, "note": dict(self._note)}

    def keys_of(self, numbers: Iterable[int]) -> dict[int, Key]:
        """The devices with these numbers."""
        wanted = set(numbers)
        with self._lock:
            return {number: key for key, number in self._numbers.items() if number in wanted}

    def close(self) -> None:
        """End all viewers' streams; may be called twice."""
        with self._lock:
            self._closed, waiting = True, list(self._waiting)
        _wake(waiting)

    async def follow(self, after: int) -> AsyncIterator[bytes]:
        """Server-sent events after a revision: changes, beats, `reset` where they are no longer known."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()
        me = (loop, event)
        self.viewers += 1
        try:
            with self._lock:
                self._waiting.add(me)
            yield b"retry: 2000\n\n"
            while not self._closed:
                event.clear()
                known, pieces, after = self._after(after)
                if not known:
                    yield b"event: reset\ndata: {}\n\n"
                    return
                for piece in pieces:
                    yield piece
                if not pieces:
                    try:
                        await asyncio.wait_for(event.wait(), BEAT_SECONDS)
                    except asyncio.TimeoutError:
                        yield _BEAT
        finally:
            self.viewers -= 1
            with self._lock:
                self._waiting.discard(me)

    def _after(self, revision: int) -> tuple[bool, list[bytes], int]:
        with self._lock:
            if not self._oldest <= revision <= self._revision:
                return False, [], revision
            return True, [piece for number, piece in self._events if number > revision], self._revision


_PARTS = ("new", "changed", "removed")


def _wake(waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]]) -> None:
    for loop, event in waiting:
        if not loop.is_closed():
            loop.call_soon_threadsafe(event.set)
