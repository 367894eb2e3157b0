"""Batch memory that is lent to one thread at a time and used again and again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from agent.detection.preprocess import BatchBuffer, InputType

KEPT = 8  # spare buffers that are kept: cameras of one site have few shapes


class SpareBuffers:
    """Buffers that nobody uses just now, the one given back last at the end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spare: list[BatchBuffer] = []

    @contextmanager
    def lend(self, input_type: InputType, size: tuple[int, int], capacity: int) -> Iterator[BatchBuffer]:
        """A buffer of `size` (height, width) for at least `capacity` images."""
        buffer = self._take(size, capacity) or BatchBuffer(input_type, size, capacity)
        try:
            yield buffer
        finally:
            with self._lock:
                self._spare.append(buffer)
                del self._spare[:-KEPT]

    def _take(self, size: tuple[int, int], capacity: int) -> BatchBuffer | None:
        """The newest spare one of `size`; one that is too small is let go of, since a larger takes its place."""
        with self._lock:
            for place in range(len(self._spare) - 1, -1, -1):
                if self._spare[place].size == size:
                    buffer = self._spare.pop(place)
                    return buffer if len(buffer.array) >= capacity else None
        return None
