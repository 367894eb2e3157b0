"""The hand-over of drafts from all threads to the delivery thread and its outbox: bounded, never blocking."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence

from agent.core.types import Draft, Priority
from agent.delivery.messages import Stamp
from agent.delivery.outbox.queue import BATCH_ROWS
from agent.delivery.outbox.recovery import OutboxRecovery

INBOX_SIZE = 5000
IDLE_SECONDS = 0.5
AGAIN_SECONDS = 0.1  # at least, after the disk has refused a batch


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


class Intake:
    """Brings what was handed over into the outbox, a batch at a time and no later than promised.

    Belongs to the delivery thread.

    `guard` runs what touches the outbox and returns whether the disk took it; `send` gets drafts that do not go through
    the outbox; `on_accepted` what became of the others: their stamps, or None where one was refused for good.
    """

    def __init__(
        self,
        inbox: Inbox,
        safe: OutboxRecovery,
        commit_interval: float,
        *,
        guard: Callable[[Callable[[], object]], bool],
        send: Callable[[Draft], None],
        on_accepted: Callable[[Sequence[Stamp | None]], None],
    ) -> None:
        self._inbox, self._safe, self._interval = inbox, safe, commit_interval
        self._guard, self._send, self._on_accepted = guard, send, on_accepted
        self._due: float | None = None

    def wait_seconds(self, now: float) -> float:
        """How long the thread may wait for the network before the next batch is due."""
        return IDLE_SECONDS if self._due is None else min(max(self._due - now, 0.0), IDLE_SECONDS)

    def commit_when_due(self, now: float) -> None:
        """Commit all that waits once the oldest has waited for the interval, is urgent, or fills a batch."""
        waiting = len(self._inbox)
        if waiting and self._due is None:
            self._due = now + self._interval
        if self._due is None:
            return
        if now >= self._due or waiting >= BATCH_ROWS or self._inbox.urgent():
            self._due = None
            while len(self._inbox) and self._commit():
                pass
            if len(self._inbox):
                self._due = now + max(self._interval, AGAIN_SECONDS)

    def hurry(self, now: float) -> None:
        """Have the next `commit_when_due` commit what waits."""
        self._due = now

    def _commit(self) -> bool:
        """Bring one batch from the inbox to the outbox; False where the disk refuses."""
        drafts = self._inbox.take(BATCH_ROWS)
        for draft in drafts:
            if not draft.durable:
                self._send(draft)
        durable = [draft for draft in drafts if draft.durable]
        dropped = self._inbox.take_dropped()
        while durable or dropped:
            accepted: list[Stamp | None] = []
            if not self._guard(lambda: accepted.extend(self._safe.outbox.put_many(durable, dropped))):  # noqa: B023  (called at once)
                self._inbox.give_back(durable)
                self._inbox.report_dropped(dropped)
                return False
            self._safe.worked()
            self._on_accepted(accepted)
            durable, dropped = durable[len(accepted) :], Counter()
        return True
