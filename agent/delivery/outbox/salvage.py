"""A damaged outbox: set aside, its readable rows carried over into a new one."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from agent.core.types import Priority
from agent.delivery.messages import is_topic
from agent.delivery.outbox.queue import BATCH_ROWS, Outbox
from agent.delivery.outbox.retained import RetainedCopy
from agent.delivery.outbox.rows import OutboxRow, unpack
from agent.delivery.outbox.store import COLUMNS, LANES, PAGE_BYTES, MessageStore, StoreFull, table

log = structlog.get_logger("vedette.delivery")

_MARK = ".damaged-"
OLD_PAGE_BYTES = 4096  # of files made before pages of 1 KiB
# Offsets in the first page (https://www.sqlite.org/fileformat.html): of the header, and of the b-tree that follows it.
_PAGE_COUNT, _FREE_PAGES = 28, 32
_KIND, _CELLS, _LAST_CHILD, _FIRST_CELL, _INTERIOR = 100, 103, 108, 112, 5
_FAMILY = {
    Priority.ALERT: "alert",
    Priority.STATUS: "status",
    Priority.SUMMARY: "camera",
    Priority.SKETCH: "sketch",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SalvageResult:
    """What came of it. `lost` is how many rows there should have been beyond the saved; None: nobody knows."""

    aside: Path
    saved: int
    lost: int | None


def set_aside(path: Path, stamp: int) -> Path:
    """Move the files of the database away, keeping only the newest such; the new path."""
    for old in path.parent.glob(f"{path.name}{_MARK}*"):
        old.unlink(missing_ok=True)
    aside = path.with_name(f"{path.name}{_MARK}{stamp}")
    path.replace(aside)
    with suppress(FileNotFoundError):
        Path(f"{path}-wal").replace(f"{aside}-wal")
    Path(f"{path}-shm").unlink(missing_ok=True)
    return aside


def salvage(aside: Path, fresh: Outbox) -> SalvageResult:
    """Carry what can be read in the database `aside` over into `fresh` (open)."""
    saved, missing, known = 0, dict.fromkeys(LANES, 0), True
    if not _opens(aside):
        _lend_schema(aside)
    with closing(_connect(aside)) as sql:
        fresh.retained.take_over(_retained(sql))
        fresh.executed.take_over(_rows(sql, "id, at FROM command", (str, float)))
        for lane in LANES:
            expected = _depth(sql, lane)
            found = _carry_over(sql, lane, fresh)
            saved += found
            known = known and expected is not None
            missing[lane] = max((expected or 0) - found, 0)
    lost = {_FAMILY[lane]: count for lane, count in missing.items() if count}
    if lost:
        fresh.put_many([], lost)
    return SalvageResult(aside=aside, saved=saved, lost=sum(lost.values()) if known else None)


def _connect(path: Path) -> sqlite3.Connection:
    """A connection to a file that nobody else uses: the log beside it is then read on any file system."""
    sql = sqlite3.connect(path, isolation_level=None)
    sql.execute("PRAGMA locking_mode=EXCLUSIVE")
    return sql


def _opens(path: Path) -> bool:
    with closing(_connect(path)) as sql:
        try:
            return bool(sql.execute("SELECT count(*) > 0 FROM sqlite_master").fetchone()[0])
        except sqlite3.Error:
            return False


def _lend_schema(path: Path) -> None:
    """Lend a database whose first page, or another with the schema, is damaged those of a new one.

    They say which page each table begins on; in every outbox these are the same, since all tables are made in one
    transaction when the file is created.
    """
    size = _page_bytes(path)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        store = MessageStore(Path(scratch) / "outbox.db", size=1 << 20, page_bytes=size)
        store.open()
        store.close()
        new = bytearray((Path(scratch) / "outbox.db").read_bytes())
    new[_PAGE_COUNT : _PAGE_COUNT + 4] = max(path.stat().st_size // size, 1).to_bytes(4, "big")
    new[_FREE_PAGES : _FREE_PAGES + 8] = bytes(8)  # which pages are free is not known, and only read here
    with path.open("r+b") as file:
        for page in (1, *_children_of_first(new)):
            file.seek((page - 1) * size)
            file.write(new[(page - 1) * size : page * size])


def _page_bytes(path: Path) -> int:
    """The size of the pages of a file that does not say it: its second one holds the epoch."""
    with path.open("rb") as file:
        file.seek(OLD_PAGE_BYTES)
        return OLD_PAGE_BYTES if b"epoch" in file.read(OLD_PAGE_BYTES) else PAGE_BYTES


def _children_of_first(database: bytearray) -> list[int]:
    """The pages, from 1 on, that the schema goes on in where it is longer than the first page."""
    if database[_KIND] != _INTERIOR:
        return []

    def number(at: int, octets: int) -> int:
        return int.from_bytes(database[at : at + octets], "big")

    cells = [number(_FIRST_CELL + 2 * n, 2) for n in range(number(_CELLS, 2))]
    return [*(number(cell, 4) for cell in cells), number(_LAST_CHILD, 4)]


def _retained(sql: sqlite3.Connection) -> RetainedCopy:
    """As far as it can be read."""
    standing = _rows(sql, "topic, seq, payload FROM standing", (str, int, bytes))
    topics = _rows(sql, "broker, topic, prefix, kind FROM retained", (str, str, str, str))
    return RetainedCopy(
        standing=[row for row in standing if _unpacks(row[2])],
        topics=[row for row in topics if is_topic(row[1])],
    )


def _rows(sql: sqlite3.Connection, what: str, types: tuple[type, ...]) -> list[Any]:
    """The rows of `what` that can be read and have these types."""
    found: list[tuple[Any, ...]] = []
    with suppress(sqlite3.Error):
        found += sql.execute(f"SELECT {what}")
    return [row for row in found if all(isinstance(*pair) for pair in zip(row, types, strict=True))]


def _unpacks(payload: bytes) -> bool:
    try:
        return bool(unpack(payload))
    except ValueError:
        return False


def _depth(sql: sqlite3.Connection, lane: Priority) -> int | None:
    try:
        found = sql.execute("SELECT depth FROM lane WHERE priority = ?", (lane,)).fetchone()
    except sqlite3.Error:
        return None
    return int(found[0]) if found else 0


def _carry_over(sql: sqlite3.Connection, lane: Priority, fresh: Outbox) -> int:
    carried, batch = 0, []
    for row in _readable(sql, lane):
        batch.append(row)
        if len(batch) == BATCH_ROWS:
            carried += _adopt(fresh, batch)
            batch = []
    return carried + _adopt(fresh, batch)


def _adopt(fresh: Outbox, batch: list[OutboxRow]) -> int:
    if not batch:
        return 0
    try:
        fresh.adopt(batch)
    except StoreFull:
        return 0
    return len(batch)


def _readable(sql: sqlite3.Connection, lane: Priority) -> Iterator[OutboxRow]:
    """Every row of `lane` that can be read, in order: halves a range of ids wherever reading it fails."""
    try:
        ends = [
            sql.execute(f"SELECT id FROM {table(lane)} ORDER BY id {order} LIMIT 1").fetchone()
            for order in ("ASC", "DESC")
        ]
    except sqlite3.Error:
        return
    if ends[0] is None or ends[1] is None:
        return
    ranges = [(ends[0][0], ends[1][0])]
    while ranges:
        first, last = ranges.pop()
        try:
            found = sql.execute(
                f"SELECT {COLUMNS} FROM {table(lane)} WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?",
                (first, last, BATCH_ROWS),
            ).fetchall()
        except sqlite3.Error:
            if first < last:
                middle = (first + last) // 2
                ranges += [(middle + 1, last), (first, middle)]
            continue
        if len(found) == BATCH_ROWS and found[-1][0] < last:
            ranges.append((found[-1][0] + 1, last))
        for values in found:
            with suppress(ValueError, TypeError):
                row = OutboxRow.from_values(lane, values)
                unpack(row.payload)
                yield row
