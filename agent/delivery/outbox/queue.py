"""The outbox: a durable, bounded, ordered queue of messages on disk. Belongs to one thread.

Laws, each with its test:

1. A draft is accepted when `put_many` returns its stamp: from then on it survives a killed process and a
   power cut.
2. Sequence numbers count within a topic family, on and on over restarts, and are stored in the same
   transaction. A new or lost file begins a new *epoch*, which is part of the published `boot`, so an id never
   names two messages.
3. Rows of one priority leave in the order they came. Only what was delivered or shed is removed, what was delivered
   with the next commit: a killed process may send it again. What may have been sent is never merged nor corrected: its
   id must go on to mean the same message.
4. The file stays under its size. What is shed for that is counted, and the next message of the family says
   how many (`lost`). So in an epoch: messages, those merged into others, and those lost, add up to the sequence
   numbers given out.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from agent.core.errors import PermanentDelivery
from agent.core.printable import printable
from agent.core.types import Draft, Priority
from agent.delivery.clock import Clock
from agent.delivery.identity import Identity
from agent.delivery.messages import Stamp, encode, is_topic
from agent.delivery.outbox.executed import ExecutedCommands
from agent.delivery.outbox.families import Families
from agent.delivery.outbox.retained import RetainedRecords
from agent.delivery.outbox.rows import OutboxRow, RowKey, corrected_rows, reported_lost, row_of
from agent.delivery.outbox.shedding import START_RATIO, STOP_RATIO, DiscardPlan, Shedder
from agent.delivery.outbox.store import (
    LANES,
    MessageStore,
    StoreCorrupt,
    StoreFull,
    StoreUnwritable,
    insertion,
    table,
)
from agent.delivery.outbox.unsettled import DELIVERED_ROWS, Unsettled

log = structlog.get_logger("vedette.delivery")

MEMORY_BYTES = 16 * 1024 * 1024  # bound of the queue where there is no disk
BATCH_ROWS = 512
SHED_SECONDS = 0.1


@dataclass(slots=True)
class _Batch:
    """Drafts on their way into one transaction, and the books as they will be after it."""

    families: Families
    rows: dict[Priority, list[OutboxRow]]
    stamps: list[Stamp | None]
    size: int = 0


class Outbox:
    """The queue in the file at `path` (None: in memory only), of `size` bytes at most."""

    def __init__(
        self,
        path: Path | None,
        *,
        size: int,
        identity: Identity,
        clock: Clock | None = None,
        in_flight: int = 20,
    ) -> None:
        self.path = path
        self.store = MessageStore(path, size if path else min(size, MEMORY_BYTES))
        self._identity, self._clock, self._in_flight = identity, clock or Clock(), in_flight
        self.retained, self.executed = RetainedRecords(self.store), ExecutedCommands(self.store)
        self._shedder = Shedder(self.store)
        self._families = Families()
        self._depths: dict[Priority, int] = {}
        self._next_ids: dict[Priority, int] = {}
        self._leased: dict[Priority, int] = {}
        self._touched: dict[Priority, int] = {}
        self._unsettled = Unsettled()
        self._adopted = dict.fromkeys(LANES, 0)
        self.epoch = ""
        self.merged_total = 0

    @property
    def durable(self) -> bool:
        """Whether what is accepted survives this process."""
        return self.path is not None

    @property
    def is_open(self) -> bool:
        """Whether it can be asked at all."""
        return self.store.is_open

    @property
    def boot(self) -> str:
        """Boot and epoch, as published."""
        return f"{self._identity.boot}-{self.epoch}"

    def open(self) -> None:
        """Open or create the file; raises the errors of `agent.delivery.outbox.store`."""
        self.store.open()
        epoch = self.store.meta("epoch") or uuid.uuid4().hex[:8]
        with self.store.transaction() as sql:
            sql.execute("INSERT OR IGNORE INTO meta VALUES ('epoch', ?)", (epoch,))
        self.epoch = epoch
        self._families = Families.read(self.store)
        newest = {lane: self.store.newest(lane) for lane in LANES}
        self._depths = self.store.depths(newest)
        self._next_ids = {lane: newest[lane] + 1 for lane in LANES}
        self._leased = dict.fromkeys(LANES, 0)
        self._touched = {lane: self._perhaps_sent(lane) for lane in LANES}

    def _perhaps_sent(self, lane: Priority) -> int:
        """The last id of which a process that was killed may have sent the message: the oldest go first."""
        skipped = self._in_flight + DELIVERED_ROWS - 1
        oldest = self.store.select(f"id FROM {table(lane)} ORDER BY id LIMIT 1 OFFSET ?", (int,), (skipped,))
        return oldest[0][0] if oldest else self._next_ids[lane] - 1

    def close(self) -> None:
        """Close; may be called twice."""
        if self.is_open:
            with suppress(StoreFull, StoreUnwritable, StoreCorrupt):
                self.settle()
        self.store.close()

    # -- in -------------------------------------------------------------------------------------------------

    def put_many(
        self, drafts: Sequence[Draft], dropped: Mapping[str, int] | None = None
    ) -> list[Stamp | None]:
        """Accept the first of `drafts`, as many as one transaction takes (at least one).

        Returns what became of each of those: its stamp, or None where it was refused for good. The caller comes
        again with the rest. `dropped` counts, by family, drafts that were given up before they came here.
        Raises StoreFull where not even shedding makes room, and StoreUnwritable; then nothing was accepted.
        """
        self.store.keep_in_bounds()
        try:
            return self._put(drafts, dropped or {})
        except StoreFull:
            self.store.checkpoint()
            self.store.keep_in_bounds()
            if not self.shed(forced=True):
                raise
            return self._put(drafts, dropped or {})

    def _put(self, drafts: Sequence[Draft], dropped: Mapping[str, int]) -> list[Stamp | None]:
        batch = _Batch(self._families.copy(), {}, [])
        for name, count in dropped.items():
            batch.families.skip(name, count)
        for draft in drafts[:BATCH_ROWS]:
            self._add(draft, batch)
            if batch.size >= self.store.log_bytes // 8:  # a transaction that outgrows the log grows the log
                break
        self._commit(batch)
        return batch.stamps

    def _add(self, draft: Draft, batch: _Batch) -> None:
        if not is_topic(draft.topic):  # then it has no family either, whose numbers could be accounted for
            log.error("message refused", topic=printable(draft.topic, 200), reason="is not a topic")
            batch.stamps.append(None)
            return
        stamp = self._stamp(batch.families, draft.family)
        rows = batch.rows.setdefault(draft.priority, [])
        try:
            row_id = self._next_ids[draft.priority] + len(rows)
            payload = encode(draft, stamp).payload
            row = row_of(draft, stamp, payload, row_id, boottime=self._clock.boottime())
        except Exception as error:  # the workers' rule: one draft keeps no other from the disk
            unforeseen = None if isinstance(error, PermanentDelivery) else error
            log.error("message refused", topic=draft.topic, reason=str(error), exc_info=unforeseen)
            batch.families.refuse(draft.family, stamp.lost)
            batch.stamps.append(None)
            return
        rows.append(row)
        batch.stamps.append(stamp)
        batch.size += len(row.payload) + len(row.sketches)

    def _stamp(self, families: Families, name: str) -> Stamp:
        seq, lost = families.next(name)
        return Stamp(
            prefix=self._identity.prefix,
            device=self._identity.device,
            boot=self.boot,
            seq=seq,
            at=self._clock.wall(),
            clock_synced=self._clock.synced(),
            lost=lost,
        )

    def _commit(self, batch: _Batch, *, whole: bool = False) -> None:
        stored = batch.rows if whole or not self.durable else self._unsettled.stored(batch.rows, self._depths)
        with self._transaction() as sql:
            for lane, rows in stored.items():
                sql.executemany(insertion(lane), [row.values() for row in rows])
                self._write_depth(sql, lane, self._depths[lane] + len(rows))
            batch.families.write(sql, self._families)
            self.retained.note_alerts(sql, batch.rows.get(Priority.ALERT, ()))
        self._families = batch.families
        for lane, rows in batch.rows.items():
            self._depths[lane] += len(rows)
            self._next_ids[lane] += len(rows)
        self._unsettled.keep(batch.rows, stored)

    @staticmethod
    def _write_depth(sql: sqlite3.Connection, lane: Priority, depth: int) -> None:
        sql.execute("INSERT OR REPLACE INTO lane VALUES (?, ?)", (lane, depth))

    def stamp(self, family: str) -> Stamp:
        """A stamp for a message that does not go through the queue (status, info); does without a disk."""
        families = self._families.copy()
        stamp = self._stamp(families, family)
        with suppress(StoreFull, StoreUnwritable, StoreCorrupt), self.store.transaction() as sql:
            families.write(sql, self._families)
        self._families = families
        return stamp

    def adopt(self, rows: Sequence[OutboxRow]) -> None:
        """Take in rows of another outbox with the stamps they have; raises StoreFull."""
        batch = _Batch(self._families, {}, [])
        for row in rows:
            lane = batch.rows.setdefault(row.priority, [])
            lane.append(replace(row, id=self._next_ids[row.priority] + len(lane)))
        self._commit(batch, whole=True)
        for priority in batch.rows:  # they may have been sent from there
            self._adopted[priority] = self._next_ids[priority] - 1

    # -- out ------------------------------------------------------------------------------------------------

    def lease(self, lane: Priority, limit: int) -> list[OutboxRow]:
        """The next `limit` rows of `lane` at most, oldest first, each once until `release`."""
        delivered = ",".join(map(str, self._unsettled.delivered.get(lane, ())))
        where, after = f"id > ? AND id NOT IN ({delivered}) ORDER BY id LIMIT ?", self._leased[lane]
        found = self.store.select_rows(lane, where, (after, limit), after=after)
        read = [self._unsettled.whole(OutboxRow.from_values(lane, values)) for values in found]
        rows = self._with_right_times(lane, read)
        if rows:
            self._leased[lane] = rows[-1].id
            self._touched[lane] = max(self._touched[lane], rows[-1].id)
        return rows

    def fetch(self, lane: Priority, ids: Sequence[int]) -> list[OutboxRow]:
        """Rows that were leased before, by id and in its order; those that are deleted since are left out."""
        marks = ",".join("?" * len(ids))
        found = self.store.select_rows(lane, f"id IN ({marks}) ORDER BY id", ids)
        return [self._unsettled.whole(OutboxRow.from_values(lane, values)) for values in found]

    def _with_right_times(self, lane: Priority, rows: list[OutboxRow]) -> list[OutboxRow]:
        """`rows`, those corrected that were accepted while the clock was wrong and never sent; on disk first."""
        if not self._clock.synced():
            return rows
        first = max(self._touched[lane], self._adopted[lane]) + 1
        corrected = corrected_rows(rows, first, self._clock, self.boot)
        if corrected:
            with self._transaction() as sql:
                sql.executemany(
                    f"UPDATE {table(lane)} SET created=?, start=?, payload=? WHERE id=?",
                    [(row.created, row.start, row.payload, row.id) for row in corrected.values()],
                )
                self.retained.correct(sql, corrected.values())
        return [corrected.get(row.id, row) for row in rows]

    def waiting(self, lane: Priority) -> bool:
        """Whether `lease` would find something in `lane`."""
        return self._depths[lane] > 0 and self._leased[lane] < self._next_ids[lane] - 1

    def release(self) -> None:
        """Forget what is leased: rows that were not acknowledged will be leased again."""
        with suppress(StoreFull, StoreUnwritable, StoreCorrupt):
            self.settle()
        self._leased = dict.fromkeys(LANES, 0)

    def note_delivered(self, delivered: Iterable[RowKey]) -> None:
        """The broker has taken responsibility for rows, by (priority, id): the next commit removes them."""
        for key in delivered:
            self._unsettled.note_delivered(key)
            self._depths[key[0]] -= 1

    @property
    def delivered_rows(self) -> int:
        """Rows that were delivered and are still on disk."""
        return len(self._unsettled)

    def settle(self) -> None:
        """Write what the next commit would besides; raises the store's errors, and then it is kept in mind."""
        if self._unsettled or self._unsettled.is_due(self._touched):
            with self._transaction():
                pass

    def ack(self, delivered: Iterable[RowKey]) -> None:
        """Remove rows that the broker has taken responsibility for, by (priority, id), at once."""
        self._delete(delivered, {}, {})

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction of the store that also removes what was delivered."""
        with self.store.transaction() as sql:
            for lane in self._unsettled.settle(sql, self._touched):
                self._write_depth(sql, lane, self._depths[lane])
            yield sql
        self._unsettled.forget()

    def give_up(self, rows: Iterable[OutboxRow]) -> None:
        """Remove rows that will never be delivered, and count them as lost."""
        rows = list(rows)
        lost: Counter[str] = Counter()
        reported: Counter[str] = Counter()
        for row in rows:
            lost[row.family] += row.weight
            reported[row.family] += reported_lost(row.payload) if row.weight > 1 else 0
        self._delete([row.key for row in rows], lost, reported)

    def _delete(self, keys: Iterable[RowKey], lost: Mapping[str, int], reported: Mapping[str, int]) -> None:
        by_lane: dict[Priority, list[int]] = {}
        for lane, row_id in keys:
            by_lane.setdefault(lane, []).append(row_id)
        if not by_lane:
            return
        families = self._families.with_losses(lost, reported)
        depths = dict(self._depths)
        with self._transaction() as sql:
            for lane, ids in by_lane.items():
                deleted = sql.executemany(
                    f"DELETE FROM {table(lane)} WHERE id = ?", [(i,) for i in ids]
                ).rowcount
                depths[lane] -= deleted
                self._write_depth(sql, lane, depths[lane])
            families.write(sql, self._families)
        self._families, self._depths = families, depths

    # -- bounds ---------------------------------------------------------------------------------------------

    def shed(self, *, forced: bool = False) -> bool:
        """Merge and drop in small steps until there is room again; whether anything was done.

        Does nothing below 80 % full, and stops after a tenth of a second (the caller has other work, and comes
        again), unless `forced`: there is no room at all.
        """
        if not forced and self.store.used_ratio() <= START_RATIO:
            return False
        with suppress(StoreFull):
            self.settle()  # what is merged needs its sketches
        done, until = 0, self._clock.boottime() + SHED_SECONDS
        while self.store.used_ratio() >= STOP_RATIO or (forced and not done):
            plan = self._shedder.plan(self._leased, self._touched)
            if plan is None:
                break
            self._carry_out(plan)
            done += 1
            if not forced and self._clock.boottime() >= until:
                break
        return done > 0

    def _carry_out(self, plan: DiscardPlan) -> None:
        families = self._families.with_losses(plan.lost, plan.reported)
        depth = self._depths[plan.lane] - len(plan.deleted)
        with self._transaction() as sql:
            sql.executemany(f"DELETE FROM {table(plan.lane)} WHERE id = ?", [(i,) for i in plan.deleted])
            sql.executemany(
                f"UPDATE {table(plan.lane)} SET start=?, window=?, span=?, weight=?, payload=?, sketches=? WHERE id=?",
                [(r.start, r.window, r.span, r.weight, r.payload, r.sketches, r.id) for r in plan.merged],
            )
            self._write_depth(sql, plan.lane, depth)
            families.write(sql, self._families)
        self._families = families
        self._depths[plan.lane] = depth
        if plan.merged:
            self.merged_total += len(plan.deleted)

    # -- figures --------------------------------------------------------------------------------------------

    @property
    def depth(self) -> int:
        """How many messages wait, those on their way included."""
        return sum(self._depths.values())

    def lost_total(self) -> dict[str, int]:
        """Messages lost so far, by family, over the life of the file."""
        return self._families.lost_total()
