"""The outbox's file: a SQLite database whose size, and whose need of free disk, are bounded.

What the settings of the connection are for, each found by breaking things:

- WAL with `synchronous=FULL`: a committed message survives a power cut (with NORMAL nearly half were gone).
- `max_page_count`, `wal_autocheckpoint` and `journal_size_limit` bound the database and its log. A full disk
  must not be met in the log, where not even a delete would work any more. So a filler is written and
  dropped at the start, which has the log own some disk, and `keep_in_bounds` lets the database grow only while
  the disk has room for the log besides: then it is the database that is full, and rows can be shed from it.
- `secure_delete` off (Debian's default is on): zeroing what is deleted doubles the wear of flash.
- `locking_mode=EXCLUSIVE`: nobody else reads the file while it is open, and the memory that readers would share is
  another file: it cost as many bytes as all messages, 12 kB a commit.
- Pages of 1 KiB: a commit writes a few bytes in each of seven pages (counts, free pages, rows), side by side in its
  log. With 4 KiB, the default of SQLite, that was twice as many bytes. A file made so keeps its pages.
- One table per priority instead of an index: rows are only appended at one end and deleted at the other.
"""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from agent.core.errors import RetryableDelivery
from agent.core.sqlite_file import connect_wal, says_damaged
from agent.core.state_dir import refuse_link
from agent.core.types import Priority

VERSION = 1
PAGE_BYTES = 1024
COUNTED_ROWS = 2000  # in a millisecond
LEAST_BYTES, LEAST_LOG_BYTES = 256 * 1024, 64 * 1024
LANES = tuple(sorted(Priority, reverse=True))

Types = Sequence[type | tuple[type, ...]]
"""What the values of each column may be."""

# Everything about a row that is not asked for often comes last: SQLite then need not read the overflow pages.
COLUMN_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "id": int, "topic": str, "seq": int, "retain": int, "expiry": (int, type(None)), "created": float,
    "boottime": float, "boot": str, "start": float, "window": float, "span": int, "weight": int, "payload": bytes,
    "sketches": bytes,
}  # fmt: skip
COLUMNS = ", ".join(COLUMN_TYPES)

_LANE = """CREATE TABLE IF NOT EXISTS {table} (
    id INTEGER PRIMARY KEY, topic TEXT NOT NULL, seq INTEGER NOT NULL, retain INTEGER NOT NULL, expiry INTEGER,
    created REAL NOT NULL, boottime REAL NOT NULL, boot TEXT NOT NULL, start REAL NOT NULL, window REAL NOT NULL,
    span INTEGER NOT NULL, weight INTEGER NOT NULL, payload BLOB NOT NULL, sketches BLOB NOT NULL)"""
_TABLES = (
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS family (name TEXT PRIMARY KEY, seq INTEGER NOT NULL, lost INTEGER NOT NULL,"
    " lost_total INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS lane (priority INTEGER PRIMARY KEY, depth INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS standing (topic TEXT PRIMARY KEY, seq INTEGER NOT NULL, payload BLOB NOT NULL)"
    " WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS command (id TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID",
    *(_LANE.format(table=f"lane_{lane.name.lower()}") for lane in LANES),
    # What is added comes last: salvaging takes the places of the tables from a new file.
    "CREATE TABLE IF NOT EXISTS retained (broker TEXT NOT NULL, topic TEXT NOT NULL, prefix TEXT NOT NULL,"
    " kind TEXT NOT NULL, PRIMARY KEY (broker, topic)) WITHOUT ROWID",
)


class StoreFull(RetryableDelivery):
    """There is no room: the database is at its bound, or the disk is full."""


class StoreCorrupt(RetryableDelivery):
    """The file is damaged: set it aside and start anew."""


class StoreUnwritable(RetryableDelivery):
    """The file cannot be opened or written (permissions, read-only or failing disk)."""


def table(priority: Priority) -> str:
    """The table that holds the messages of `priority`."""
    return f"lane_{priority.name.lower()}"


def insertion(priority: Priority) -> str:
    """The statement that adds a row, its values in the order of COLUMNS, to the messages of `priority`."""
    return f"INSERT INTO {table(priority)} VALUES ({','.join('?' * len(COLUMN_TYPES))})"


def are_of(values: Sequence[object], types: Types) -> bool:
    """Whether each of `values` is of its column's type, and finite: SQLite itself keeps anything in any column.

    >>> are_of((1, "a"), (int, str)), are_of(("1", "a"), (int, str)), are_of((float("inf"),), (float,))
    (True, False, False)
    """
    return all(
        isinstance(value, kind) and (not isinstance(value, float) or math.isfinite(value))
        for value, kind in zip(values, types, strict=True)
    )


class MessageStore:
    """One connection to the database at `path` (None: in memory), of `size` bytes at most, log included.

    A new file has pages of `page_bytes`.
    """

    def __init__(self, path: Path | None, size: int, *, page_bytes: int = PAGE_BYTES) -> None:
        self.path = path
        self._size = size
        self.log_bytes = min(max(size // 32, 256 * 1024), 2 * 1024 * 1024)
        self._page_bytes = page_bytes
        self._allowed_pages = self.max_pages
        self._connection: sqlite3.Connection | None = None
        self.commits_total = 0

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    @property
    def max_pages(self) -> int:
        """How many pages the database may have, its log left out."""
        return max(self._size - self.log_bytes, LEAST_BYTES) // self._page_bytes

    @property
    def sql(self) -> sqlite3.Connection:
        """The open connection."""
        if self._connection is None:
            raise StoreUnwritable("the outbox is closed")
        return self._connection

    def open(self) -> None:
        """Open or create the file; raises StoreUnwritable, StoreCorrupt or StoreFull."""
        with translated():
            if self.path is not None:
                try:
                    self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                    refuse_link(self.path)
                except OSError as error:
                    raise StoreUnwritable(f"{self.path.parent}: {error.strerror}") from None
                self._fit_log_to_disk()
                self._connection = connect_wal(self.path, page_bytes=self._page_bytes)
            else:
                self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self.close()
                raise

    def _fit_log_to_disk(self) -> None:
        """On a small disk the log gets an eighth of what there is."""
        share = max(self._free_bytes() // 8, LEAST_LOG_BYTES)
        self.log_bytes = min(self.log_bytes, share)

    def _free_bytes(self) -> int:
        if self.path is None:
            return self._size
        try:
            disk = os.statvfs(self.path.parent)
        except OSError as error:
            raise StoreUnwritable(f"{self.path.parent}: {error.strerror}") from None
        return disk.f_bavail * disk.f_frsize

    def keep_in_bounds(self) -> None:
        """Let the database grow to its size, or as far as the disk allows."""
        pages = int(self.query("PRAGMA page_count")[0][0])
        room = max(self._free_bytes() - self.log_bytes, 0) // self._page_bytes
        allowed = max(min(self.max_pages, pages + room), 1)
        if allowed != self._allowed_pages:
            self._allowed_pages = allowed
            self.query(f"PRAGMA max_page_count={allowed}")

    def _prepare(self) -> None:
        self._page_bytes = int(self.query("PRAGMA page_size")[0][0])
        for pragma in (
            "synchronous=FULL",
            f"wal_autocheckpoint={self.log_bytes // 4 // self._page_bytes}",
            f"journal_size_limit={self.log_bytes}",
            f"max_page_count={self.max_pages}",
            "secure_delete=OFF",
            "cache_size=-2048",
            "mmap_size=0",
        ):
            self.sql.execute(f"PRAGMA {pragma}")
        with self.transaction() as sql:
            for statement in _TABLES:
                sql.execute(statement)
            sql.execute("INSERT OR IGNORE INTO meta VALUES ('version', ?)", (str(VERSION),))
        version = self.meta("version")
        if version != str(VERSION):
            raise StoreCorrupt(f"{self.path}: outbox format {version}, this agent reads {VERSION}")
        with suppress(StoreFull):
            self._reserve()

    def _reserve(self) -> None:
        """Have the log, and a little of the database, own their disk before it is needed."""
        with translated():
            self.sql.execute("DROP TABLE IF EXISTS filler")
            self.sql.execute("CREATE TABLE filler (bytes BLOB)")
            self.sql.execute("INSERT INTO filler VALUES (zeroblob(?))", (self.log_bytes // 2,))
            self.sql.execute("DROP TABLE filler")
        self.checkpoint()

    def checkpoint(self) -> None:
        """Bring the log's content into the database; the log then begins anew and keeps its size on disk."""
        self.query("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        """Close; may be called twice."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(
                sqlite3.Error
            ):  # closing checkpoints; what it cannot do is done at the next opening
                connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing, on disk when the block ends; raises this module's errors."""
        sql = self.sql
        with translated():
            sql.execute("BEGIN IMMEDIATE")
            try:
                yield sql
                sql.execute("COMMIT")
                self.commits_total += 1
            except BaseException:
                if sql.in_transaction:  # some errors have rolled back by themselves
                    with suppress(sqlite3.Error):
                        sql.execute("ROLLBACK")
                raise

    def query(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Every row of a SELECT or PRAGMA; raises this module's errors."""
        with translated():
            return self.sql.execute(statement, tuple(values)).fetchall()

    def select(self, what: str, types: Types, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Every row of `SELECT what`, each value of its column's type; StoreCorrupt where one is not."""
        found = self.query(f"SELECT {what}", values)
        if not all(are_of(row, types) for row in found):
            raise StoreCorrupt(f"outbox: what {what.partition(' FROM ')[2]} gives is not what was written")
        return found

    def select_rows(
        self, lane: Priority, where: str, values: Sequence[object], *, after: int = 0
    ) -> list[tuple[Any, ...]]:
        """The COLUMNS of the messages of `lane` that `where` names, by id, all after `after`; as `select`."""
        found = self.select(
            f"{COLUMNS} FROM {table(lane)} WHERE {where}", tuple(COLUMN_TYPES.values()), values
        )
        ids = [after, *(row[0] for row in found)]
        if any(one >= next_one for one, next_one in pairwise(ids)):  # else they would be sent round and round
            raise StoreCorrupt(f"outbox: the rows of {table(lane)} are not in order")
        return found

    def newest(self, lane: Priority) -> int:
        """The id of the newest message of `lane`, 0 where there is none."""
        found = self.select(f"id FROM {table(lane)} ORDER BY id DESC LIMIT 1", (int,))
        return int(found[0][0]) if found else 0

    def depths(self, newest: Mapping[Priority, int]) -> dict[Priority, int]:
        """How many messages of each priority wait; `newest` are their ids. StoreCorrupt where that cannot be."""
        depths = dict.fromkeys(LANES, 0)
        for number, depth in self.select("priority, depth FROM lane", (int, int)):
            if number not in depths:
                raise StoreCorrupt(f"outbox: {depth} messages of priority {number}")
            depths[Priority(number)] = depth
        for lane, depth in depths.items():
            least, most = self._possible(lane, newest[lane])
            if not least <= depth <= most:
                raise StoreCorrupt(
                    f"outbox: {depth} messages in {table(lane)}, which has from {least} to {most}"
                )
        return depths

    def _possible(self, lane: Priority, newest: int) -> tuple[int, int]:
        """How many messages `lane` may have: exactly where they are few, by the first id and the last where counting
        would read all of a long queue."""
        found = self.select(f"id FROM {table(lane)} ORDER BY id LIMIT 1", (int,))
        most = newest - found[0][0] + 1 if found else 0
        if most > COUNTED_ROWS:
            return 1, most
        (counted,) = self.select(f"count(*) FROM {table(lane)}", (int,))
        return counted[0], counted[0]

    def meta(self, name: str) -> str | None:
        """A remembered string."""
        rows = self.select("value FROM meta WHERE name = ?", (str,), (name,))
        return rows[0][0] if rows else None

    def used_pages(self) -> int:
        """Pages that hold something."""
        return int(self.query("PRAGMA page_count")[0][0] - self.query("PRAGMA freelist_count")[0][0])

    def used_ratio(self) -> float:
        """How full the database is, 0..1 (more where the bound was lowered)."""
        return self.used_pages() / self._allowed_pages


@contextmanager
def translated() -> Iterator[None]:
    """Raise SQLite's errors as this module's; distinguished by text, because 3.10's sqlite3 gives no code."""
    try:
        yield
    except sqlite3.Error as error:
        text = str(error)
        if "full" in text:
            raise StoreFull(f"outbox: {text}") from error
        if says_damaged(error):
            raise StoreCorrupt(f"outbox: {text}") from error
        if isinstance(error, sqlite3.ProgrammingError):
            raise
        raise StoreUnwritable(f"outbox: {text}") from error
