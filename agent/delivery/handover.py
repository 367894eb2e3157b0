"""The hand-over from every other thread to the delivery thread: bounded, and never a reason to wait."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import Counter, deque
from collections.abc import Sequence

from agent.core.types import Draft, Priority

INBOX_SIZE = 5000


class Inbox:
    """Drafts that are not on disk yet. When the disk stalls, the least important and oldest are let go."""

    def __init__(self, size: int = INBOX_SIZE) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._lanes: dict[Priority, deque[Draft]] = {lane: deque() for lane in sorted(Priority, reverse=True)}
        self._count = 0
        self.total = 0
        self._dropped: Counter[str] = Counter()
        self.wake_fd, self._wake_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def put(self, draft: Draft) -> None:
        """Hand over; takes microseconds. Wakes the delivery thread for the first draft and for alerts."""
        with self._lock:
            first = self._count == 0
            self._lanes[draft.priority].append(draft)
            self._count += 1
            self.total += 1
            self._trim()
        if first or not draft.durable or draft.priority is Priority.ALERT:
            self.wake()

    def take(self, limit: int) -> list[Draft]:
        """Up to `limit` drafts, the most important first, each priority in order."""
        taken: list[Draft] = []
        with self._lock:
            for lane in self._lanes.values():
                while lane and len(taken) < limit:
                    taken.append(lane.popleft())
            self._count -= len(taken)
        return taken

    def give_back(self, drafts: Sequence[Draft]) -> None:
        """Put back what was taken and could not be stored, in front."""
        with self._lock:
            for draft in reversed(drafts):
                self._lanes[draft.priority].appendleft(draft)
            self._count += len(drafts)
            self._trim()

    def take_dropped(self) -> Counter[str]:
        """How many drafts of each family were let go since the last call."""
        with self._lock:
            dropped, self._dropped = self._dropped, Counter()
        return dropped

    def report_dropped(self, dropped: Counter[str]) -> None:
        """Count losses again that could not be written down."""
        with self._lock:
            self._dropped += dropped

    def urgent(self) -> bool:
        """Whether an alert, or what does not go through the disk, waits."""
        with self._lock:
            beside = any(not draft.durable for draft in self._lanes[Priority.STATUS])
            return beside or bool(self._lanes[Priority.ALERT])

    def __len__(self) -> int:
        return self._count

    def wake(self) -> None:
        """Wake the thread that polls `wake_fd`."""
        with contextlib.suppress(
            BlockingIOError, OSError
        ):  # full: it is awake; closed: nobody is left to wake
            os.write(self._wake_in, b"\0")

    def awake(self) -> None:
        """Take note of having been woken."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.wake_fd, 4096)

    def _trim(self) -> None:
        if self._count <= self._size:
            return
        for lane in reversed(list(self._lanes.values())):
            while lane and self._count > self._size:
                draft = lane.popleft()
                self._count -= 1
                if draft.durable:
                    self._dropped[draft.family] += 1
