"""The intake: brings what other threads handed over into the outbox, a batch at a time and no later than promised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from agent.core.types import Draft
from agent.delivery.handover import Inbox
from agent.delivery.messages import Stamp
from agent.delivery.outbox.queue import BATCH_ROWS
from agent.delivery.outbox.recovery import OutboxRecovery

IDLE_SECONDS = 0.5
AGAIN_SECONDS = 0.1  # at least, after the disk has refused a batch


class Intake:
    """Belongs to the delivery thread.

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
