"""Plans what a full outbox merges and drops: old windows first, the least important first.

The order is `STEPS`: sketches are merged, then dropped; then summaries; alerts are the last to go. A plan is
small enough for one transaction; the outbox carries it out and keeps the books.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.core.types import Priority
from agent.delivery.outbox.compaction import merge_rows
from agent.delivery.outbox.rows import OutboxRow, reported_lost
from agent.delivery.outbox.store import MessageStore, table

START_RATIO, STOP_RATIO = 0.80, 0.75  # shedding starts above the one and stops below the other
MERGED_SPANS = (600, 3600)
DROP_ROWS = 100
SCAN_ROWS = 2000  # of these only the short columns are read
MERGE_ROWS = 100  # of these the payloads; a transaction that outgrows the log grows the log


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscardPlan:
    """Rows of one lane to remove: those in `deleted`, and those that a row of `merged` replaces.

    `lost` counts, by family, the sequence numbers that no message stands for any more; of these, `reported` had
    been reported as lost by a message that is itself deleted.
    """

    lane: Priority
    deleted: Sequence[int]
    merged: Sequence[OutboxRow] = ()
    lost: Mapping[str, int] = field(default_factory=dict)
    reported: Mapping[str, int] = field(default_factory=dict)


# Priority and the span to merge its windows to; 0: drop.
STEPS: tuple[tuple[Priority, int], ...] = (
    *((Priority.SKETCH, span) for span in (*MERGED_SPANS, 0)),
    *((Priority.SUMMARY, span) for span in (*MERGED_SPANS, 0)),
    (Priority.STATUS, 0),
    (Priority.ALERT, 0),
)


class Shedder:
    """Makes plans for one store. Remembers, per step, up to which row there is nothing left to merge."""

    def __init__(self, store: MessageStore) -> None:
        self._store = store
        self._done: dict[tuple[Priority, int], int] = {}
        self._unmergeable: set[int] = set()

    def plan(self, leased: Mapping[Priority, int], touched: Mapping[Priority, int]) -> DiscardPlan | None:
        """The next plan; None: nothing to take.

        Rows up to the id in `leased` are on their way and left alone; those up to the id in `touched` may have
        been sent once, and are not merged.
        """
        for lane, span in STEPS:
            found = self._merge(lane, span, touched[lane]) if span else self._drop(lane, leased[lane])
            if found:
                return found
        return None

    def _drop(self, lane: Priority, floor: int) -> DiscardPlan | None:
        rows = self._store.select(
            f"id, topic, weight, CASE WHEN weight > 1 THEN payload ELSE x'' END FROM {table(lane)}"
            " WHERE id > ? ORDER BY id LIMIT ?",
            (int, str, int, bytes),
            (floor, DROP_ROWS),
        )
        lost: Counter[str] = Counter()
        reported: Counter[str] = Counter()
        for _, topic, weight, payload in rows:
            family = topic.partition("/")[0]
            lost[family] += weight
            reported[family] += reported_lost(payload) if weight > 1 else 0
        return (
            DiscardPlan(lane=lane, deleted=[row[0] for row in rows], lost=lost, reported=reported)
            if rows
            else None
        )

    def _merge(self, lane: Priority, span: int, floor: int) -> DiscardPlan | None:
        while True:
            after = max(self._done.get((lane, span), 0), floor)
            rows = self._store.select(
                f"id, topic, boot, CAST(start / ? AS INTEGER), span, window FROM {table(lane)}"
                " WHERE id > ? ORDER BY id LIMIT ?",
                (int, str, str, int, int, float),
                (span, after, SCAN_ROWS),
            )
            groups, open_from = _groups(rows, span)
            plan = self._first(lane, span, [ids for ids in groups if not self._unmergeable.intersection(ids)])
            if plan:
                return plan
            if len(rows) < SCAN_ROWS:
                return None
            self._done[lane, span] = open_from - 1 if open_from > rows[0][0] else rows[-1][0]

    def _first(self, lane: Priority, span: int, groups: Sequence[Sequence[int]]) -> DiscardPlan | None:
        """Merge the first groups, as many as one transaction should take."""
        deleted: list[int] = []
        merged: list[OutboxRow] = []
        size = 0
        for ids in groups:
            if merged and (len(deleted) + len(ids) > MERGE_ROWS or size > self._store.log_bytes // 8):
                break
            row = merge_rows(self._load(lane, ids), span)
            if row is None:
                self._unmergeable.update(ids)
            else:
                merged.append(row)
                size += len(row.payload) + len(row.sketches)
                deleted += ids[:-1]
        return DiscardPlan(lane=lane, deleted=deleted, merged=merged) if merged else None

    def _load(self, lane: Priority, ids: Sequence[int]) -> list[OutboxRow]:
        marks = ",".join("?" * len(ids))
        found = self._store.select_rows(lane, f"id IN ({marks}) ORDER BY id", ids)
        return [OutboxRow.from_values(lane, values) for values in found]


def _groups(rows: Sequence[tuple[int, str, str, int, int, float]], span: int) -> tuple[list[list[int]], int]:
    """Ids that may become one row, and the first id of the bucket that may still grow.

    The newest bucket is left open, unless it is all there is (then it is merged in pieces).
    """
    if not rows:
        return [], 0
    newest = max(bucket for _, _, _, bucket, _, _ in rows)
    open_from = min(row_id for row_id, _, _, bucket, _, _ in rows if bucket == newest)
    whole = len(rows) == SCAN_ROWS and open_from == rows[0][0]
    groups: dict[tuple[str, str, int], list[int]] = {}
    for row_id, topic, boot, bucket, merged_to, window in rows:
        if window > 0 and merged_to <= span and (bucket != newest or whole):
            groups.setdefault((topic, boot, bucket), []).append(row_id)
    return [ids for ids in groups.values() if len(ids) > 1], open_from
