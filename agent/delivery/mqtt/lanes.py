"""Selects the next rows of the outbox for the send window: by lane, in order, returned rows first."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from agent.core.types import Priority
from agent.delivery.outbox.queue import Outbox
from agent.delivery.outbox.rows import OutboxRow, RowKey
from agent.delivery.outbox.store import LANES

LEASE_ROWS = 64


class Lanes:
    """Leased rows of one outbox that wait for room; `leased` hears of each lease before a row of it is given out."""

    def __init__(self, outbox: Outbox, leased: Callable[[Iterable[OutboxRow]], None]) -> None:
        self._outbox, self._leased = outbox, leased
        self._next: dict[Priority, deque[OutboxRow]] = {lane: deque() for lane in LANES}
        self._returned: dict[Priority, deque[int]] = {lane: deque() for lane in LANES}

    def take(self, lane: Priority) -> OutboxRow | None:
        """The next row of `lane`, None where nothing waits."""
        rows, returned = self._next[lane], self._returned[lane]
        if returned:
            ids = [returned.popleft() for _ in range(min(LEASE_ROWS, len(returned)))]
            rows = deque(sorted([*self._outbox.fetch(lane, ids), *rows], key=lambda row: row.id))
            self._next[lane] = rows
        if not rows and self._outbox.waiting(lane):
            leased = self._outbox.lease(lane, LEASE_ROWS)
            self._leased(leased)
            rows.extend(leased)
        return rows.popleft() if rows else None

    def put_first(self, row: OutboxRow) -> None:
        """What `take` gave out is next again."""
        self._next[row.priority].appendleft(row)

    def give_back(self, keys: Iterable[RowKey]) -> None:
        """Leased rows that were kept elsewhere (held back) are to be sent."""
        for lane, row_id in keys:
            self._returned[lane].append(row_id)

    def clear(self) -> None:
        """Forget all of them: their leases are void."""
        for lane in LANES:
            self._next[lane].clear()
            self._returned[lane].clear()

    def move_to(self, outbox: Outbox) -> None:
        """Take from another outbox from now on."""
        self.clear()
        self._outbox = outbox
