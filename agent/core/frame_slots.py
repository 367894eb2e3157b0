"""Frame slots: the newest frame of each camera, between the cameras' threads and the scheduler."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from agent.core.types import Frame


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotCounts:
    """Frames that a camera gave and no result came of.

    `dropped` ones were replaced before they were taken, `still` ones were left out since nothing moved, and on
    `failed` ones the model failed.
    """

    dropped: int = 0
    still: int = 0
    failed: int = 0


class FrameSlots:
    """Holds the newest frame of each camera, and counts what no result came of; all that threads share of frames.

    A newer frame replaces one that was not taken. `take` serves the
    camera that has waited longest first, so no camera starves another.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ready = threading.Condition(self._lock)
        # One for each camera that waits for its slot: only the one that is served wakes.
        self._free: dict[str, threading.Condition] = {}
        self._slots: dict[str, Frame] = {}
        self._counts: dict[str, Counter[str]] = {}

    def put(self, frame: Frame) -> None:
        """Offer a frame; replaces the camera's untaken one."""
        with self._ready:
            if frame.camera in self._slots:
                self._count(frame.camera, "dropped")
            self._slots[frame.camera] = frame  # a replaced frame keeps its camera's place in the queue
            self._ready.notify_all()

    def put_when_free(self, frame: Frame, stop: threading.Event, waiting: Callable[[], None]) -> None:
        """Offer a frame once the camera's slot is free (files read as fast as possible lose nothing).

        Calls `waiting` a few times a second meanwhile; gives up when `stop` is set.
        """
        with self._lock:
            free = self._free.setdefault(frame.camera, threading.Condition(self._lock))
            while frame.camera in self._slots and not stop.is_set():
                waiting()
                free.wait(0.2)
            if stop.is_set():
                return
            self._slots[frame.camera] = frame
            self._ready.notify_all()

    def take(
        self, limit: int, *, timeout: float, linger: float = 0.0, enough: int | None = None
    ) -> list[Frame]:
        """Up to `limit` frames, longest-waiting camera first; [] after `timeout` seconds without any.

        Once one is there, waits up to `linger` seconds more for `enough` (default: `limit`) of them.
        """
        enough = limit if enough is None else min(enough, limit)
        with self._ready:
            if not self._ready.wait_for(lambda: bool(self._slots), timeout):
                return []
            if linger > 0 and len(self._slots) < enough:
                self._ready.wait_for(lambda: len(self._slots) >= enough, linger)
            names = list(self._slots)[:limit]
            frames = [self._slots.pop(name) for name in names]
            for name in names:
                if name in self._free:
                    self._free[name].notify_all()
            return frames

    def count_still(self, camera: str) -> None:
        """Count a frame that was left out since nothing moved."""
        with self._lock:
            self._count(camera, "still")

    def count_failed(self, camera: str) -> None:
        """Count a frame that the model failed on."""
        with self._lock:
            self._count(camera, "failed")

    def _count(self, camera: str, kind: str) -> None:
        self._counts.setdefault(camera, Counter())[kind] += 1

    def take_counts(self, camera: str) -> SlotCounts:
        """The counts of `camera` since the last call."""
        with self._lock:
            return SlotCounts(**self._counts.pop(camera, Counter()))

    def remove(self, camera: str) -> None:
        """Drop the frame of a camera that was removed; its counts remain to be taken."""
        with self._lock:
            self._slots.pop(camera, None)
            if free := self._free.pop(camera, None):
                free.notify_all()
