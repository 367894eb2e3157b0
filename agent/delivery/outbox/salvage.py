"""A damaged outbox: set aside, its readable rows carried over into a new one."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Container, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from agent.core.types import Priority
from agent.delivery.messages import is_topic
from agent.delivery.outbox.queue import BATCH_ROWS, Outbox
from agent.delivery.outbox.retained import RetainedCopy
from agent.delivery.outbox.rows import OutboxRow, RowKey, unpack
from agent.delivery.outbox.store import (
    COLUMN_TYPES,
    COLUMNS,
    LANES,
    PAGE_BYTES,
    MessageStore,
    StoreFull,
    are_of,
    table,
)

log = structlog.get_logger("vedette.delivery")

_MARK = ".damaged-"
_LAST_ID = 2**62  # beyond any id that was given out
_TYPES = tuple(COLUMN_TYPES.values())
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


def salvage(aside: Path, fresh: Outbox, without: Container[RowKey] = ()) -> SalvageResult:
    """Carry what can be read in the database `aside` over into `fresh` (open), but for the rows `without` which."""
    saved, missing, known = 0, dict.fromkeys(LANES, 0), True
    if not _opens(aside):
        _lend_schema(aside)
    with closing(_connect(aside)) as sql:
        fresh.retained.take_over(_retained(sql))
        fresh.executed.take_over(_rows(sql, "id, at FROM command", (str, float)))
        for lane in LANES:
            expected = _depth(sql, lane)
            found, left = _carry_over(sql, lane, fresh, without)
            saved += found
            known = known and expected is not None
            missing[lane] = max((expected or 0) - found - left, 0)
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
    if found is None:
        return 0
    return found[0] if isinstance(found[0], int) and found[0] >= 0 else None


def _carry_over(
    sql: sqlite3.Connection, lane: Priority, fresh: Outbox, without: Container[RowKey]
) -> tuple[int, int]:
    """How many rows of `lane` were carried over, and how many are `without` which."""
    carried, left, batch = 0, 0, []
    for row in _readable(sql, lane):
        if row.key in without:
            left += 1
            continue
        batch.append(row)
        if len(batch) == BATCH_ROWS:
            carried += _adopt(fresh, batch)
            batch = []
    return carried + _adopt(fresh, batch), left


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
    first, last = _end(sql, lane, "min"), _end(sql, lane, "max")
    ranges, newest = [(first, last)] if first is not None and last is not None else [], 0
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
        reached = max((values[0] for values in found), default=last)
        if len(found) == BATCH_ROWS and reached < last:
            ranges.append((max(reached, first) + 1, last))
        for values in found:
            if are_of(values, _TYPES) and values[0] > newest:  # the rows of a damaged page are in any order
                newest = values[0]
                row = OutboxRow.from_values(lane, values)
                if _unpacks(row.payload):
                    yield row


def _end(sql: sqlite3.Connection, lane: Priority, which: str) -> int | None:
    """The first (`min`) or last (`max`) id of `lane` that can be read; None where there is none.

    Where the page at that end cannot be read, nothing beyond a certain id can: that is looked for by halves.
    """
    sign = ">=" if which == "min" else "<="

    def found(limit: int) -> int | None:
        row = sql.execute(f"SELECT {which}(id) FROM {table(lane)} WHERE id {sign} ?", (limit,)).fetchone()
        return row[0] if row and isinstance(row[0], int) else None

    failing, reached = (0, _LAST_ID) if which == "min" else (_LAST_ID, 0)
    with suppress(sqlite3.Error):
        return found(failing)
    end: int | None = None
    while abs(failing - reached) > 1:
        middle = (failing + reached) // 2
        try:
            end, reached = found(middle), middle
        except sqlite3.Error:
            failing = middle
    return end
