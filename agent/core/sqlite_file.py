"""Opening a SQLite file with a write-ahead log, on any file system."""

from __future__ import annotations

import sqlite3
from pathlib import Path

BUSY_SECONDS = 5.0
_DAMAGE = (
    "malformed", "not a database", "corrupt", "no such table", "no such column", "has no column named",
    "could not decode to utf-8", "constraint failed",
)  # fmt: skip


def connect_wal(path: Path, *, page_bytes: int = 4096, shared: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode to `path`, which is made if it is not there; raises sqlite3.Error.

    The file is locked for this connection alone: processes that use a log together share memory with it, a file of its
    own, of which the kernel writes two or three pages to disk for each commit, and which some file systems (NFS, 9p,
    some of FUSE) do not have: <https://sqlite.org/wal.html#noshm>. Where somebody reads it already, it is shared.
    With `shared`, for a file that other connections read, it is locked only where the file system shares no memory.
    """
    first, second = ("NORMAL", "EXCLUSIVE") if shared else ("EXCLUSIVE", "NORMAL")
    try:
        return _connect(path, page_bytes, first)
    except sqlite3.OperationalError as error:
        if ("locked" in str(error)) is shared:
            raise
        return _connect(path, page_bytes, second)


def says_damaged(error: sqlite3.Error) -> bool:
    """Whether the file is at fault, not the disk: damaged pages, a schema that is not ours (any more), or text and
    numbers that nobody wrote so: one flipped bit makes a text unreadable, or an id one that is there already."""
    return any(words in str(error).lower() for words in _DAMAGE)


def _connect(path: Path, page_bytes: int, locking: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA locking_mode={locking}")
        connection.execute(f"PRAGMA page_size={page_bytes}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # the first use of shared memory
    except UnicodeDecodeError:  # of SQLite's own words, which repeat a damaged schema
        connection.close()
        raise sqlite3.DatabaseError("malformed database schema: it is no text") from None
    except sqlite3.Error:
        connection.close()
        raise
    return connection
