"""The history in one SQLite file: windows, roll-ups by hour and day, sketches, marks and alerts (laws: `store`).

One writer (`History`, of one thread); readers (`SqliteRows`) open the file read-only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from agent.core.errors import VedetteError
from agent.core.sqlite_file import connect_wal
from agent.dashboard.web import rollup
from agent.dashboard.web.fields import DAY, Update, Value, applied
from agent.dashboard.web.store import (
    HOUR,
    KEPT_MARKS_SECONDS,
    KEPT_SECONDS,
    LATE_SECONDS,
    MOST_ALERTS,
    Key,
    SeriesNumbers,
    StoreError,
    kept,
    rolled_hour,
    start_of,
    to_text,
)

FILE = "history.sqlite"
MOST_PRUNED = 200
"""Series from which what is too old is removed in one step."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS series(id INTEGER PRIMARY KEY, site TEXT, device TEXT, entity TEXT,
    UNIQUE(site, device, entity));
CREATE TABLE IF NOT EXISTS latest(series INTEGER PRIMARY KEY, at REAL, body TEXT);
CREATE TABLE IF NOT EXISTS window(series INTEGER, at REAL, seconds REAL, body TEXT, PRIMARY KEY(series, at))
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS hour(series INTEGER, at REAL, body TEXT, PRIMARY KEY(series, at)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS day(series INTEGER, at REAL, body TEXT, PRIMARY KEY(series, at)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS stale(series INTEGER, at REAL, PRIMARY KEY(series, at)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sketch(series INTEGER, at REAL, body TEXT, PRIMARY KEY(series, at)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mark(series INTEGER, at REAL, kind TEXT, text TEXT, PRIMARY KEY(series, at, kind))
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alert(site TEXT, device TEXT, id TEXT, state TEXT, first_seen REAL, changed_at REAL,
    body TEXT, PRIMARY KEY(site, device, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS alert_changed ON alert(changed_at);
"""


class History:
    """The writer, a `Store`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self.left_out = 0
        self._db: sqlite3.Connection | None = None
        self._ids = SeriesNumbers()
        self._committed = 0
        self._next_pruned = 0
        self._ended: list[tuple[Key, int]] = []
        """Series that were removed since the last commit."""

    def open(self) -> None:
        """Open the file, or make it; raises VedetteError."""
        try:
            self._db = connect_wal(self.path, shared=True)
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
            known = self._db.execute("SELECT id, site, device, entity FROM series").fetchall()
        except sqlite3.Error as error:
            raise VedetteError(f"{self.path}: {error}; is it a dashboard's history?") from None
        self._ids = SeriesNumbers(((site, device, entity), number) for number, site, device, entity in known)
        self._committed = max(self._ids.numbers(), default=0)

    def close(self) -> None:
        """Write what is open and close; may be called twice."""
        if self._db is not None:
            with suppress(StoreError):  # a full disk: it was reported when it began
                self.commit()
            self._db.close()
            self._db = None

    def roll_back(self) -> None:
        """Discard what was added since the last commit: it could not be written."""
        with suppress(StoreError):
            if self._open.in_transaction:
                self._run("ROLLBACK")
        self._ids = self._ids.up_to(self._committed)
        for key, number in self._ended:
            self._ids.add(key, number)
        self._ended = []

    def commit(self, now: float = 0.0) -> None:  # noqa: ARG002  (as a Store has it)
        """Write all that was added."""
        if self._open.in_transaction:
            self._run("COMMIT")
        self._ended = []
        self._committed = max(self._ids.numbers(), default=0)

    @property
    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            raise VedetteError(f"{self.path} is not open")
        return self._db

    def _run(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._open.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from None

    def _write(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        if not self._open.in_transaction:
            self._run("BEGIN")
        return self._run(statement, values)

    def _series(self, key: Key) -> int | None:
        known = self._ids.get(key)
        if known is not None:
            return known
        if not self._ids.fitting([key]):
            self.left_out += 1
            return None
        self._write("INSERT INTO series(site, device, entity) VALUES (?, ?, ?)", key)
        number: int = self._run("SELECT last_insert_rowid()")[0][0]
        self._ids.add(key, number)
        return number

    # -- adding ------------------------------------------------------------------------------------------------

    def update(self, key: Key, update: Update) -> None:
        """Keep the last known values, and a mark for each change."""
        if (number := self._series(key)) is None:
            return
        found = self._run("SELECT at, body FROM latest WHERE series = ?", (number,))
        known = (found[0][0], kept(found[0][1])) if found else None
        (at, fields), marks = applied(known, update)
        self._write("INSERT OR REPLACE INTO latest VALUES (?, ?, ?)", (number, at, to_text(fields)))
        for mark in marks:
            self._write(
                "INSERT OR REPLACE INTO mark VALUES (?, ?, ?, ?)", (number, mark.at, mark.kind, mark.text)
            )

    def add_window(self, key: Key, end: float, seconds: float, fields: Mapping[str, Value]) -> None:
        """Add one window; its hour is rolled up (again)."""
        if (number := self._series(key)) is not None:
            row = (number, end, seconds, to_text(fields))
            self._write("INSERT OR REPLACE INTO window VALUES (?, ?, ?, ?)", row)
            self._write("INSERT OR IGNORE INTO stale VALUES (?, ?)", (number, start_of(end, HOUR)))

    def add_sketch(self, key: Key, end: float, body: Mapping[str, Any]) -> None:
        """Add one message of sketches, as it came."""
        if (number := self._series(key)) is not None:
            self._write("INSERT OR REPLACE INTO sketch VALUES (?, ?, ?)", (number, end, to_text(body)))

    def set_alert(self, key: Key, state: str, first: float, at: float, body: Mapping[str, Any]) -> None:
        """Keep an alert as it is now; one that only seemed to have ended fires again."""
        self._write(
            "INSERT INTO alert VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT(site, device, id) DO UPDATE SET"
            " state = ?4, changed_at = ?6, body = ?7 WHERE changed_at <= ?6 OR alert.state = 'ended'",
            (*key, state, first, at, to_text(body)),
        )

    def firing(self) -> set[Key]:
        """Site, device and id of the alerts that fire."""
        rows = self._run("SELECT site, device, id FROM alert WHERE state = 'firing'")
        return {(site, device, alert) for site, device, alert in rows}

    def end_alerts(self, keys: Iterable[Key], at: float) -> None:
        """Keep that firing alerts no longer fire, though nobody saw them resolve."""
        for key in keys:
            self._write(
                "UPDATE alert SET state = 'ended', changed_at = ? WHERE site = ? AND device = ? AND id = ?"
                " AND state = 'firing'",
                (at, *key),
            )

    # -- roll-ups and retention --------------------------------------------------------------------------------

    def roll_up(self, now: float, most: int = 200) -> int:
        """Roll up at most `most` hours that have ended; how many it was."""
        due = self._run(
            "SELECT series, at FROM stale WHERE at < ? LIMIT ?", (now - HOUR - LATE_SECONDS, most)
        )
        for number, at in due:
            self._roll_up_hour(number, at, now)
            self._write("DELETE FROM stale WHERE series = ? AND at = ?", (number, at))
        return len(due)

    def _roll_up_hour(self, number: int, at: float, now: float) -> None:
        windows = self._run(
            "SELECT seconds, body FROM window WHERE series = ? AND at > ? AND at <= ?",
            (number, at, at + HOUR),
        )
        before = self._run("SELECT body FROM hour WHERE series = ? AND at = ?", (number, at))
        rolled = rolled_hour(at, now, [(row[0], row[1]) for row in windows], before[0][0] if before else None)
        if not rolled:
            return
        self._write("INSERT OR REPLACE INTO hour VALUES (?, ?, ?)", (number, at, to_text(rolled)))
        day = start_of(at + 1.0, DAY)
        hours = self._run(
            "SELECT body FROM hour WHERE series = ? AND at >= ? AND at < ?", (number, day, day + DAY)
        )
        merged = rollup.merge([kept(body) for (body,) in hours])
        self._write("INSERT OR REPLACE INTO day VALUES (?, ?, ?)", (number, day, to_text(merged)))

    def prune(self, now: float) -> None:
        """Remove what is too old from the next `MOST_PRUNED` series, and alerts and marks that are."""
        first = self._next_pruned if self._next_pruned < len(self._ids) else 0
        numbers = self._ids.numbers()[first : first + MOST_PRUNED]
        self._next_pruned = first + MOST_PRUNED
        for number in numbers:
            for table, seconds in KEPT_SECONDS.items():
                self._write(
                    f"DELETE FROM {table} WHERE series = ? AND at < ?",
                    (number, now - seconds),
                )
            self._write("DELETE FROM mark WHERE series = ? AND at < ?", (number, now - KEPT_MARKS_SECONDS))
            self._end(number, now - max(KEPT_SECONDS.values()))
        self._write(
            "DELETE FROM alert WHERE changed_at < ? AND state != 'firing'", (now - KEPT_MARKS_SECONDS,)
        )
        self._write(
            "DELETE FROM alert WHERE changed_at <"
            " (SELECT changed_at FROM alert ORDER BY changed_at DESC LIMIT 1 OFFSET ?)",
            (MOST_ALERTS,),
        )

    def _end(self, number: int, oldest: float) -> None:
        """Remove a series of which nothing is left but last known values from before `oldest`: a device that is no
        more must not take the room of others."""
        tables = (*KEPT_SECONDS, "mark", "stale")
        left = " UNION ALL ".join(f"SELECT 1 FROM {table} WHERE series = ?1" for table in tables)
        rows = self._run(
            f"SELECT 1 FROM latest WHERE series = ?1 AND at >= ?2 UNION ALL {left} LIMIT 1", (number, oldest)
        )
        if not rows and (ended := self._ids.remove(number)):
            self._ended.append(ended)
            for table, column in (("latest", "series"), ("series", "id")):
                self._write(f"DELETE FROM {table} WHERE {column} = ?", (number,))


class SqliteRows:
    """The reader, a `HistoryReader`: every call opens the file anew, read-only."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows that a SELECT gives; raises StoreError."""
        try:
            with closing(
                sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)
            ) as db:
                return db.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from None
