"""Rows added between two commits; a row that the database refuses is found and left out alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from agent.core.printable import printable
from agent.dashboard.web.fields import DAY, FUTURE_SECONDS, Update
from agent.dashboard.web.postgres import schema
from agent.dashboard.web.postgres.schema import PgConnection
from agent.dashboard.web.store import HOUR, Key, start_of

Row = tuple[Any, ...]
_ROW_CLASSES = ("22", "23", "54")
"""Classes of SQLSTATE that are a row's fault: data, constraints, limits (an index entry of 3 kB)."""


@dataclass(slots=True)
class Batch:
    """What was added since the last commit; a second message about the same replaces the first."""

    windows: dict[tuple[Key, float], tuple[float, str]] = field(default_factory=dict)
    sketches: dict[tuple[Key, float], str] = field(default_factory=dict)
    updates: list[tuple[Key, Update]] = field(default_factory=list)
    alerts: dict[Key, tuple[str, float, float, str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.windows or self.sketches or self.updates or self.alerts)

    def keys(self) -> set[Key]:
        """The series that it is about."""
        found = {key for key, _ in self.windows} | {key for key, _ in self.sketches}
        return found | {key for key, _ in self.updates}

    def partitions(self, now: float) -> set[tuple[str, float]]:
        """The partitions, by table and begin, that its rows go to, and those that they are rolled up into."""
        wanted: set[tuple[str, float]] = set()
        for _, at in self.windows:
            times = (("window", at), ("hour", start_of(at, HOUR)), ("day", start_of(at, DAY)))
            wanted |= _begins(times) if schema.is_kept("window", at, now) else set()
        wanted |= _begins(("sketch", at) for _, at in self.sketches if schema.is_kept("sketch", at, now))
        for _, update in self.updates:
            wanted |= _begins(
                ("mark", at) for at in _mark_times(update, now) if schema.is_kept("mark", at, now)
            )
        return wanted


def _begins(times: Iterable[tuple[str, float]]) -> set[tuple[str, float]]:
    return {(table, schema.begin_of(table, at)) for table, at in times}


def _mark_times(update: Update, now: float) -> Iterable[float]:
    """When marks of a message may be: where it comes late, also when what is known by then was published."""
    yield update.changed_at
    at, width = update.at, schema.WIDTHS["mark"]
    while at < now + FUTURE_SECONDS + width:
        yield at
        at += width


class RowWriter:
    """Writes rows in a transaction. Where `careful`, one that the database refuses is left out and counted."""

    def __init__(self, db: PgConnection, *, careful: bool) -> None:
        self._db, self._careful = db, careful
        self.refused = 0
        self.reason = ""

    def insert(self, statement: str, rows: Collection[Row]) -> list[Row]:
        """Run `statement` with the columns of `rows`, sorted; the rows that were not refused. Raises psycopg.Error."""
        return self._insert(statement, sorted(rows)) if rows else []

    def select(self, statement: str, values: Sequence[Any]) -> list[Row]:
        """The rows of a SELECT."""
        return self._db.execute(statement, values).fetchall()

    def _insert(self, statement: str, rows: list[Row]) -> list[Row]:
        columns = [list(column) for column in zip(*rows, strict=True)]
        if not self._careful:
            self._db.execute(statement, columns)
            return rows
        try:
            with self._db.transaction():
                self._db.execute(statement, columns)
        except (psycopg.Error, UnicodeError) as error:
            if not is_of_a_row(error):
                raise
            return self._halves(statement, rows, error)
        return rows

    def _halves(self, statement: str, rows: list[Row], error: BaseException) -> list[Row]:
        if len(rows) == 1:
            self.refused += 1
            self.reason = printable(" ".join(str(error).split()), 200)
            return []
        middle = len(rows) // 2
        return self._insert(statement, rows[:middle]) + self._insert(statement, rows[middle:])


def is_of_a_row(error: BaseException) -> bool:
    """Whether it is the row that the database refuses, now and always."""
    if isinstance(error, (psycopg.DataError, UnicodeError)):
        return True
    return isinstance(error, psycopg.Error) and (error.sqlstate or "")[:2] in _ROW_CLASSES
