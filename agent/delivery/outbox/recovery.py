"""Where messages are kept: on disk; in memory while the disk cannot be used; and back again.

Laws:

1. A damaged file is set aside at once and a new one begun with what could be read.
2. A disk that cannot be written for some seconds is given up: messages are then kept in memory (said loudly),
   those waiting on disk are copied there as far as they can be read and fit.
3. The disk is tried again every half minute. Then what is left in memory moves to it, and what was delivered
   meanwhile is removed from it.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import structlog

from agent.core.errors import DeliveryError
from agent.core.types import Priority
from agent.delivery.clock import Clock
from agent.delivery.identity import Identity
from agent.delivery.outbox.queue import BATCH_ROWS, Outbox
from agent.delivery.outbox.retained import RetainedCopy
from agent.delivery.outbox.salvage import salvage, set_aside
from agent.delivery.outbox.store import LANES, StoreCorrupt, StoreFull, StoreUnwritable

log = structlog.get_logger("vedette.delivery")


class OutboxRecovery:
    """Owns the outbox of one path; `outbox` may be another one after `failed` or `revisit` returned True."""

    def __init__(
        self,
        path: Path,
        *,
        size: int,
        identity: Identity,
        clock: Clock,
        patience: float,
        retry: float = 30.0,
        in_flight: int = 20,
    ) -> None:
        self._path, self._size, self._identity, self._clock = path, size, identity, clock
        self._patience, self._retry_seconds, self._in_flight = patience, retry, in_flight
        self._failing_since: float | None = None
        self._retry_at = 0.0
        self._copied: list[tuple[Priority, int]] = []
        self._records_copied = False
        self._commits_before = 0
        self.outbox = self._on_disk()
        self.damaged_total = 0

    @property
    def commits_total(self) -> int:
        """Commits to disk by this process: each asks it to sync once."""
        return self._commits_before + (self.outbox.store.commits_total if self.outbox.durable else 0)

    def _on_disk(self) -> Outbox:
        return self._outbox(self._path)

    def _outbox(self, path: Path | None) -> Outbox:
        return Outbox(
            path, size=self._size, identity=self._identity, clock=self._clock, in_flight=self._in_flight
        )

    def open(self, now: float) -> None:
        """Open the outbox, wherever it can be."""
        try:
            self.outbox.open()
        except StoreCorrupt as error:
            self._start_anew(error, now)
        except (StoreUnwritable, StoreFull) as error:
            self._retreat(error, now)

    def close(self) -> None:
        """Close; may be called twice."""
        self.outbox.close()

    def worked(self) -> None:
        """The outbox was written."""
        self._failing_since = None

    def failed(self, error: DeliveryError, now: float) -> bool:
        """The outbox could not be written; whether it was replaced."""
        if isinstance(error, StoreCorrupt) and self.outbox.durable:
            self._start_anew(error, now)
            return True
        if self._failing_since is None:
            self._failing_since = now
            log.warning("the outbox cannot be written, retrying", reason=str(error))
        if now - self._failing_since < self._patience or not self.outbox.durable:
            return False
        self._retreat(error, now)
        return True

    def revisit(self, now: float) -> bool:
        """Try the disk again if it is time to; whether the outbox is on disk again."""
        if self.outbox.durable or now < self._retry_at:
            return False
        disk = self._on_disk()
        try:
            try:
                disk.open()
                disk.ack(self._copied)
            except StoreCorrupt as error:  # what failed was the disk, and so its file is damaged now
                disk.close()
                disk = self._renewed(error)
            self._copied = []  # gone: at the next try their ids may name what has moved there since
            disk.retained.take_over(self._retained_for(disk))
            disk.executed.take_over(self.outbox.executed.copy())
            self._move(self.outbox, disk)
        except DeliveryError:
            disk.close()
            self._retry_at = now + self._retry_seconds
            return False
        self.outbox.close()
        self.outbox, self._failing_since = disk, None
        log.info("the outbox is on disk again", path=str(self._path))
        return True

    def _start_anew(self, error: DeliveryError, now: float) -> None:
        self.outbox.close()  # it may have got as far as a lock, for which what is saved would be waited for in vain
        commits = self.outbox.store.commits_total
        try:
            self.outbox = self._renewed(error)
        except DeliveryError as second:
            self._retreat(second, now)
        else:
            self._commits_before += commits

    def _renewed(self, error: DeliveryError) -> Outbox:
        """A new outbox on disk, open, with what could be read of the damaged one; raises DeliveryError."""
        self.damaged_total += 1
        try:
            aside = set_aside(self._path, int(self._clock.wall()))
        except OSError as second:
            raise StoreUnwritable(str(second)) from None
        copied, self._copied = set(self._copied), []  # their ids name nothing in the new file
        disk = self._on_disk()
        try:
            disk.open()
            result = salvage(aside, disk, copied)
        except (OSError, DeliveryError, sqlite3.Error) as second:
            disk.close()
            log.error(
                "the outbox was damaged, and what can be read of it is not all saved",
                reason=str(error),
                aside=str(aside),
                error=str(second),
            )
            raise StoreUnwritable(str(second)) from None
        log.error(
            "the outbox was damaged: it was set aside and a new one started",
            reason=str(error),
            aside=str(aside),
            saved=result.saved,
            lost="unknown" if result.lost is None else result.lost,
        )
        return disk

    def _retreat(self, error: DeliveryError, now: float) -> None:
        log.error(
            "THE OUTBOX CANNOT USE THE DISK: messages are kept in memory and are lost if the agent stops",
            path=str(self._path),
            reason=str(error),
        )
        disk = self.outbox
        self._commits_before += disk.store.commits_total if disk.durable else 0
        self.outbox = self._outbox(None)
        self.outbox.open()
        self._records_copied = disk.is_open and _copy_records(disk, self.outbox)
        self._copied = _copy(disk, self.outbox) if disk.is_open else []
        disk.close()
        self._failing_since = None
        self._retry_at = now + self._retry_seconds

    def _retained_for(self, disk: Outbox) -> RetainedCopy:
        """What memory knows; with what the disk knows besides, where that could not be read when it was given up."""
        ours = self.outbox.retained.copy()
        if self._records_copied:
            return ours
        both = {row[0]: row for row in (*disk.retained.copy().standing, *ours.standing)}
        return replace(ours, standing=list(both.values()))

    @staticmethod
    def _move(memory: Outbox, disk: Outbox) -> None:
        """Everything that waits in memory; raises StoreFull where it does not fit (what fitted has moved)."""
        memory.release()
        for lane in LANES:
            while rows := memory.lease(lane, BATCH_ROWS):
                disk.adopt(rows)
                memory.ack([(row.priority, row.id) for row in rows])


def _copy_records(old: Outbox, new: Outbox) -> bool:
    try:
        new.retained.take_over(old.retained.copy())
        new.executed.take_over(old.executed.copy())
    except DeliveryError:
        return False
    return True


def _copy(disk: Outbox, memory: Outbox) -> list[tuple[Priority, int]]:
    """Rows of a disk that can still be read, as many as fit, the most important first; which those were."""
    copied: list[tuple[Priority, int]] = []
    try:
        disk.release()
        for lane in LANES:
            while rows := disk.lease(lane, BATCH_ROWS):
                memory.adopt(rows)
                copied += [(row.priority, row.id) for row in rows]
    except DeliveryError as error:
        log.warning("not all of the outbox could be copied to memory", copied=len(copied), reason=str(error))
    return copied
