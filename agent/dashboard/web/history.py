"""History on disk: windows, roll-ups by hour and day, sketches, marks and alerts, in one SQLite file.

Laws:

1. One writer (`History`, of one thread); readers (`agent.dashboard.web.queries`) open the file read-only.
2. A message that comes twice changes nothing: a window is keyed by its series and its end.
3. A roll-up is always made again from all windows of its hour, so what arrives late is in it. The hours that have to be
   made are kept in the file (`stale`): a restart forgets none.
4. Percentiles are never averaged (`rollup`); sketches are kept as they came, and merged when they are read.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.core.errors import VedetteError
from agent.core.sqlite_file import connect_wal
from agent.core.untrusted import BadInput, parse_kept
from agent.dashboard.web import rollup
from agent.dashboard.web.fields import DAY, Change, Value

FILE = "history.sqlite"
HOUR = 3600.0
MOST_SERIES = 100_000
"""Devices, cameras and GPUs for which a history is kept; more are left out, and counted."""
MOST_ALERTS = 100_000
KEPT_SECONDS: Mapping[str, float] = {"window": 3 * DAY, "sketch": 8 * DAY, "hour": 62 * DAY, "day": 750 * DAY}
KEPT_MARKS_SECONDS = 93 * DAY
LATE_SECONDS = 300.0
"""An hour is rolled up once it has ended so long ago; windows that come later have it made again."""

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
Key = tuple[str, str, str]
"""Site, device and entity: `""` for the device itself, `host`, `info`, `gpu/0`, `camera/front`; or an alert's id."""


def to_text(value: object) -> str:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class History:
    """The writer. What is written is in the file after `commit`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self.left_out = 0
        self._db: sqlite3.Connection | None = None
        self._ids: dict[Key, int] = {}
        self._committed = 0
        self._next_pruned = 0

    def open(self) -> None:
        """Open the file, or make it; raises VedetteError."""
        try:
            self._db = connect_wal(self.path)
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise VedetteError(f"{self.path}: {error}; is it a dashboard's history?") from None
        for number, *key in self._db.execute("SELECT id, site, device, entity FROM series"):
            self._ids[key[0], key[1], key[2]] = number
        self._committed = max(self._ids.values(), default=0)

    def close(self) -> None:
        """Write what is open and close; may be called twice."""
        if self._db is not None:
            with suppress(sqlite3.Error):  # a full disk: it was reported when it began
                self.commit()
            self._db.close()
            self._db = None

    def roll_back(self) -> None:
        """Discard what was added since the last commit: it could not be written."""
        with suppress(sqlite3.Error):
            if self._open.in_transaction:
                self._open.execute("ROLLBACK")
        self._ids = {key: number for key, number in self._ids.items() if number <= self._committed}

    def commit(self) -> None:
        """Write all that was added."""
        if self._open.in_transaction:
            self._open.execute("COMMIT")
        self._committed = max(self._ids.values(), default=0)

    @property
    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            raise VedetteError(f"{self.path} is not open")
        return self._db

    def _write(self, statement: str, values: tuple[Any, ...]) -> sqlite3.Cursor:
        if not self._open.in_transaction:
            self._open.execute("BEGIN")
        return self._open.execute(statement, values)

    def _series(self, key: Key) -> int | None:
        known = self._ids.get(key)
        if known is not None or len(self._ids) >= MOST_SERIES:
            self.left_out += known is None
            return known
        found = self._write("INSERT INTO series(site, device, entity) VALUES (?, ?, ?)", key).lastrowid
        self._ids[key] = found or 0
        return found

    # -- adding ------------------------------------------------------------------------------------------------

    def latest(self, key: Key) -> dict[str, Value]:
        """The last known value of each field of `key`; empty where nothing is known."""
        number = self._ids.get(key)
        row = self._open.execute("SELECT body FROM latest WHERE series = ?", (number,)).fetchone()
        return kept(row[0]) if row else {}

    def set_latest(self, key: Key, fields: Mapping[str, Value], at: float) -> None:
        """Keep the last known values, unless those of a later time are known."""
        if (number := self._series(key)) is not None:
            self._write(
                "INSERT INTO latest VALUES (?1, ?2, ?3)"
                " ON CONFLICT(series) DO UPDATE SET at = ?2, body = ?3 WHERE at <= ?2",
                (number, at, to_text(fields)),
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

    def add_mark(self, key: Key, change: Change) -> None:
        """Add a mark for the curves."""
        if (number := self._series(key)) is not None:
            row = (number, change.at, change.kind, change.text)
            self._write("INSERT OR REPLACE INTO mark VALUES (?, ?, ?, ?)", row)

    def set_alert(self, key: Key, state: str, first: float, at: float, body: Mapping[str, Any]) -> None:
        """Keep an alert as it is now; one that was resolved stays so unless a later message says otherwise."""
        self._write(
            "INSERT INTO alert VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT(site, device, id) DO UPDATE SET"
            " state = ?4, changed_at = ?6, body = ?7 WHERE changed_at <= ?6",
            (*key, state, first, at, to_text(body)),
        )

    def firing(self) -> set[Key]:
        """Site, device and id of the alerts that fire."""
        rows = self._open.execute("SELECT site, device, id FROM alert WHERE state = 'firing'")
        return {(site, device, alert) for site, device, alert in rows}

    def end_alert(self, key: Key, at: float) -> None:
        """Keep that an alert no longer fires, though nobody saw it resolve."""
        self._write(
            "UPDATE alert SET state = 'ended', changed_at = ? WHERE site = ? AND device = ? AND id = ?",
            (at, *key),
        )

    # -- roll-ups and retention --------------------------------------------------------------------------------

    def roll_up(self, now: float, most: int = 200) -> int:
        """Roll up at most `most` hours that have ended; how many it was."""
        due = self._open.execute(
            "SELECT series, at FROM stale WHERE at < ? LIMIT ?", (now - HOUR - LATE_SECONDS, most)
        ).fetchall()
        for number, at in due:
            self._roll_up_hour(number, at)
            self._write("DELETE FROM stale WHERE series = ? AND at = ?", (number, at))
        return len(due)

    def _roll_up_hour(self, number: int, at: float) -> None:
        rows = self._open.execute(
            "SELECT seconds, body FROM window WHERE series = ? AND at > ? AND at <= ?",
            (number, at, at + HOUR),
        )
        rolled = rollup.roll_up([(seconds, kept(body)) for seconds, body in rows])
        if not rolled:
            return
        self._write("INSERT OR REPLACE INTO hour VALUES (?, ?, ?)", (number, at, to_text(rolled)))
        day = start_of(at + 1.0, DAY)
        hours = self._open.execute(
            "SELECT body FROM hour WHERE series = ? AND at >= ? AND at < ?", (number, day, day + DAY)
        )
        merged = rollup.merge([kept(body) for (body,) in hours])
        self._write("INSERT OR REPLACE INTO day VALUES (?, ?, ?)", (number, day, to_text(merged)))

    def prune(self, now: float, most: int = 200) -> None:
        """Remove what is too old from the next `most` series, and alerts and marks that are."""
        first = self._next_pruned if self._next_pruned < len(self._ids) else 0
        numbers = list(self._ids.values())[first : first + most]
        self._next_pruned = first + most
        for number in numbers:
            for table, seconds in KEPT_SECONDS.items():
                self._write(
                    f"DELETE FROM {table} WHERE series = ? AND at < ?",
                    (number, now - seconds),
                )
            self._write("DELETE FROM mark WHERE series = ? AND at < ?", (number, now - KEPT_MARKS_SECONDS))
        self._write(
            "DELETE FROM alert WHERE changed_at < ? AND state != 'firing'", (now - KEPT_MARKS_SECONDS,)
        )
        self._write(
            "DELETE FROM alert WHERE changed_at <"
            " (SELECT changed_at FROM alert ORDER BY changed_at DESC LIMIT 1 OFFSET ?)",
            (MOST_ALERTS,),
        )


def kept(body: str) -> dict[str, Any]:
    """The object in a column that `to_text` wrote; empty where the file is damaged."""
    try:
        value = parse_kept(body)
    except BadInput:
        return {}
    return value if isinstance(value, dict) else {}


def start_of(at: float, length: float) -> float:
    """Start of the hour or day (UTC) that a window with this end belongs to: one that ends on the hour, to the last."""
    return ((at - 1e-3) // length) * length
