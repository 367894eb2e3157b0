"""The alert store: a bounded history and the snapshots that survive a restart, in one SQLite file.

A file that cannot be read is renamed and replaced by a new one; a disk that cannot be written is logged once, and
alerts go on without it: alerting matters more than its history.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import structlog

from agent.alerts.alert_json import alert_from_json, alert_to_json
from agent.core.printable import printable
from agent.core.sqlite_file import connect_wal, says_damaged
from agent.core.state_dir import refuse_link
from agent.core.types import Alert
from agent.core.untrusted import LARGEST_BYTES, parse_kept

log = structlog.get_logger("vedette.alerts")

FILE_NAME = "alerts.sqlite3"
MOST_HISTORY = 20_000
LARGEST_SNAPSHOT = 256 * 1024 * 1024
"""Bytes of a snapshot that is still read: thousands of series, each with weeks of hours to compare with."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS history (
    n INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS history_at ON history (at);
CREATE TABLE IF NOT EXISTS kept (name TEXT PRIMARY KEY, body TEXT NOT NULL);
"""

_KEEP = "INSERT INTO kept (name, body) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET body = excluded.body"
PAGE_BYTES = 4096
"""SQLite overwrites a value of the same size in place, and writes only those of its pages that differ."""

Result = TypeVar("Result")


class AlertStore:
    """The file `alerts.sqlite3` of a state directory; its owner lets one thread at a time use it."""

    def __init__(self, state_directory: Path, *, most_history: int = MOST_HISTORY) -> None:
        self.path = state_directory / FILE_NAME
        self._most = most_history
        self._database: sqlite3.Connection | None = None
        self._failing = False
        self._kept: dict[str, bytes] = {}  # digests of the snapshots in the file

    def open(self) -> None:
        """Open the file; a broken one is renamed to `*.broken` and replaced by a new one."""
        try:
            self._database = self._connect()
        except OSError as error:
            self._log_failing(error)
        except sqlite3.Error as error:
            if not says_damaged(error):  # a full or read-only disk: the file itself is sound
                self._log_failing(error)
                return
            broken = self.path.with_suffix(".broken")
            log.error("the alert store is damaged, starting a new one", error=str(error), kept_as=str(broken))
            try:
                self.path.replace(broken)
                self._database = self._connect()
            except (OSError, sqlite3.Error) as again:
                self._log_failing(again)

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        refuse_link(self.path)
        database = connect_wal(self.path)
        try:
            self.path.chmod(0o600)
            database.execute("PRAGMA synchronous=FULL")
            database.execute("PRAGMA journal_size_limit=4194304")
            database.executescript(_SCHEMA)
            database.execute("SELECT name, body FROM kept LIMIT 1").fetchone()
            database.execute("SELECT n, at, id, body FROM history LIMIT 1").fetchone()
        except (OSError, sqlite3.Error):
            database.close()
            raise
        return database

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def record(
        self, alerts: Sequence[Alert], snapshots: Mapping[str, Any] | None = None, *, family: str = ""
    ) -> None:
        """Add alerts to the history and replace the named snapshots that changed, in one transaction.

        Snapshots of `family`, which are called FAMILY/..., and are not among them are removed.
        """
        rows = [
            (alert.changed_at, alert.id, json.dumps(alert_to_json(alert), default=str)) for alert in alerts
        ]
        texts = {name: _text(name, body) for name, body in (snapshots or {}).items()}
        digests = {name: hashlib.sha256(text.encode()).digest() for name, text in texts.items()}
        kept = [(name, text) for name, text in texts.items() if digests[name] != self._kept.get(name)]
        gone = [name for name in self._kept if family and name.startswith(f"{family}/") and name not in texts]

        def write(database: sqlite3.Connection) -> None:
            database.execute("BEGIN IMMEDIATE")
            try:
                database.executemany("INSERT INTO history (at, id, body) VALUES (?, ?, ?)", rows)
                database.executemany(_KEEP, kept)
                database.executemany("DELETE FROM kept WHERE name = ?", [(name,) for name in gone])
                if rows:
                    newest = database.execute("SELECT max(n) FROM history").fetchone()[0]
                    database.execute("DELETE FROM history WHERE n <= ?", (newest - self._most,))
                database.execute("COMMIT")
            except sqlite3.Error:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise
            self._kept.update(digests)
            for name in gone:
                del self._kept[name]

        if rows or kept or gone:
            self._try(write, None)

    def family(self, name: str) -> dict[str, Any]:
        """The snapshots saved as `name` and `name`/..., those that can be read."""
        query = "SELECT name, body FROM kept WHERE name = ? OR (name > ? AND name < ?)"
        rows: Iterable[tuple[str, str]] = self._try(
            lambda database: database.execute(query, (name, f"{name}/", f"{name}0")).fetchall(), []
        )
        found = {one: self._parsed(one, body) for one, body in rows}
        return {one: body for one, body in found.items() if body is not None}

    def _parsed(self, name: str, text: str) -> Any:
        self._kept[name] = hashlib.sha256(text.encode()).digest()
        try:
            return parse_kept(text, largest=LARGEST_SNAPSHOT)
        except ValueError as error:
            log.error(
                "the stored state of the alerts is damaged, starting without it", name=name, error=str(error)
            )
            return None

    def history(self, since: float = 0.0, limit: int = 1000, *, offset: int = 0) -> list[str]:
        """State changes from `since` (Unix time) on, the newest first: `limit` of them after the first `offset`.

        `changes` reads them; that takes its time, and needs no store.
        """
        query = "SELECT body FROM history WHERE at >= ? ORDER BY n DESC LIMIT ? OFFSET ?"
        rows: Iterable[tuple[str]] = self._try(
            lambda database: database.execute(query, (since, limit, offset)).fetchall(), []
        )
        return [body for (body,) in rows]

    def count(self, since: float = 0.0) -> int:
        """How many state changes there are from `since` (Unix time) on."""
        query = "SELECT count(*) FROM history WHERE at >= ?"
        return self._try(lambda database: int(database.execute(query, (since,)).fetchone()[0]), 0)

    def _try(self, work: Callable[[sqlite3.Connection], Result], otherwise: Result) -> Result:
        if self._database is None:
            return otherwise
        try:
            result = work(self._database)
        except sqlite3.Error as error:
            self._log_failing(error)
            return otherwise
        if self._failing:
            self._failing = False
            log.info("alert store can be written again")
        return result

    def _log_failing(self, error: Exception) -> None:
        if not self._failing:
            self._failing = True
            log.error(
                "the alert store cannot be used, alerts continue without it",
                path=str(self.path),
                error=str(error),
            )


def _text(name: str, body: Any) -> str:
    """JSON; that of no family with spaces up to whole pages, so that the next most often has the same size."""
    text = json.dumps(body, default=str)
    return text if "/" in name else text + " " * (-len(text) % PAGE_BYTES)


def changes(bodies: Iterable[str]) -> list[Alert]:
    """The state changes that `AlertStore.history` gave, without those that are damaged."""
    return [alert for body in bodies if (alert := _alert(body)) is not None]


def _alert(body: str) -> Alert | None:
    """The alert in a row of the history; None where the row is damaged."""
    try:
        return alert_from_json(parse_kept(body, largest=LARGEST_BYTES))
    except (ValueError, KeyError, TypeError) as error:
        log.warning("a row of the alert history is damaged and skipped", error=printable(error))
        return None
