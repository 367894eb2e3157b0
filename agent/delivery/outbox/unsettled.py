"""What the next commit to the queue settles: rows that were delivered go, and sketches that are needed after all come.

Sketches are three quarters of a summary, and are needed only to merge windows that were never sent. So:

1. A row is stored without its sketches where it would count as perhaps sent after a kill: such a row is never merged.
2. The next commit adds them, unless the row was leased by then: what may have been sent is never merged either.
3. A row that lacks its sketches says so (`LEFT_OUT`), and is not merged whatever happens.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from agent.core.types import Priority
from agent.delivery.outbox.rows import LEFT_OUT, OutboxRow, RowKey
from agent.delivery.outbox.store import table

DELIVERED_ROWS = 64
"""Delivered rows that may still be on disk: they are removed with the next commit, which writes the same pages."""

Rows = Sequence[OutboxRow]


class Unsettled:
    """Belongs to one queue. `delivered` are ids by lane."""

    def __init__(self) -> None:
        self.delivered: dict[Priority, list[int]] = {}
        self._sketches: dict[RowKey, bytes] = {}

    def __len__(self) -> int:
        """Rows that were delivered and are still on disk."""
        return sum(map(len, self.delivered.values()))

    def note_delivered(self, key: RowKey) -> None:
        """The row may go."""
        self.delivered.setdefault(key[0], []).append(key[1])

    @staticmethod
    def stored(rows: Mapping[Priority, Rows], depths: Mapping[Priority, int]) -> dict[Priority, Rows]:
        """New rows of lanes in which so many wait, as they are stored (law 1): a killed process may have sent the first
        DELIVERED_ROWS."""
        return {
            lane: [_spared(row) for row in new] if depths[lane] + len(new) <= DELIVERED_ROWS else new
            for lane, new in rows.items()
        }

    def keep(self, rows: Mapping[Priority, Rows], stored: Mapping[Priority, Rows]) -> None:
        """`rows` are on disk as `stored`."""
        for lane, new in rows.items():
            for row, one in zip(new, stored[lane], strict=True):
                if one is not row:
                    self._sketches[row.key] = row.sketches

    def whole(self, row: OutboxRow) -> OutboxRow:
        """A row that was read, with its sketches."""
        held = self._sketches.get(row.key)
        return row if held is None else replace(row, sketches=held)

    def is_due(self, touched: Mapping[Priority, int]) -> bool:
        """Whether the next commit will write sketches; rows up to the ids in `touched` were leased."""
        return any(row_id > touched[lane] for lane, row_id in self._sketches)

    def settle(self, sql: sqlite3.Connection, touched: Mapping[Priority, int]) -> Iterable[Priority]:
        """Part of a transaction, after which `forget` is called; the lanes from which rows went."""
        for lane, ids in self.delivered.items():
            sql.executemany(f"DELETE FROM {table(lane)} WHERE id = ?", [(i,) for i in ids])
        for (lane, row_id), blob in self._sketches.items():
            if row_id > touched[lane]:
                sql.execute(f"UPDATE {table(lane)} SET sketches = ? WHERE id = ?", (blob, row_id))
        return tuple(self.delivered)

    def forget(self) -> None:
        """It is settled."""
        self.delivered, self._sketches = {}, {}


def _spared(row: OutboxRow) -> OutboxRow:
    return replace(row, sketches=LEFT_OUT) if row.sketches else row
