"""Where a message goes now, live or to `replay/...`, and how long it may wait there."""

from __future__ import annotations

from agent.core.types import Priority
from agent.delivery.clock import Clock
from agent.delivery.outbox.rows import OutboxRow

LATE_SECONDS = 120.0
LATE_WINDOWS = 2.0


class Routing:
    """Topics and ages of the rows of one device; `message_expiry` in seconds, 0: for ever."""

    def __init__(self, clock: Clock, *, prefix: str, message_expiry: float) -> None:
        self._clock, self._prefix, self._message_expiry = clock, prefix, message_expiry

    def route(self, row: OutboxRow, boot: str) -> tuple[str, bool, float | None]:
        """The topic that `row` goes to now, whether it is late, and its age in seconds; `boot` is the running one."""
        read = self._clock
        age = row.age(wall=read.wall(), boottime=read.boottime(), boot=boot, synced=read.synced())
        late = is_late(row, age)
        return f"{self._prefix}/{'replay/' if late else ''}{row.topic}", late, age

    def live_topic(self, row: OutboxRow) -> str:
        """The topic of `row` while it is not late."""
        return f"{self._prefix}/{row.topic}"

    def expiry(self, row: OutboxRow, age: float | None) -> int | None:
        """How long a broker may keep it for subscribers that are away; states have no such end."""
        if row.expiry is not None:
            return int(row.expiry - (age or 0.0)) + 1
        ends = self._message_expiry > 0 and row.priority in {Priority.SUMMARY, Priority.SKETCH}
        return int(self._message_expiry) or 1 if ends else None


def is_late(row: OutboxRow, age: float | None) -> bool:
    """Whether a summary or sketch is too old for live topics, was merged, or has an age that cannot be known (None)."""
    if row.priority not in {Priority.SUMMARY, Priority.SKETCH}:
        return False
    return row.span > 0 or age is None or age > max(LATE_SECONDS, LATE_WINDOWS * row.window)
