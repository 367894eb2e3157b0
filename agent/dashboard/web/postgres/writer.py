"""The writer of the history in PostgreSQL, a `Store`: what was added is written in one transaction, all or nothing.

Laws:

1. A failed `commit` discards nothing: the next one writes the same again. What the database can never take (a row that
   it refuses) is left out alone, and counted.
2. All collectors take their locks in one order: series, window, stale, sketch, latest, mark, alert, each by its key.
3. An hour is not rolled up while one of its windows is being written: both hold its row of `stale`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import psycopg

from agent.core.errors import VedetteError
from agent.dashboard.web import rollup
from agent.dashboard.web.fields import DAY, Latest, Update, Value, applied
from agent.dashboard.web.postgres import schema, statements
from agent.dashboard.web.postgres.address import Database, store_error
from agent.dashboard.web.postgres.batch import Batch, Row, RowWriter, is_of_a_row
from agent.dashboard.web.postgres.schema import PgConnection
from agent.dashboard.web.store import (
    HOUR,
    KEPT_MARKS_SECONDS,
    LATE_SECONDS,
    MOST_ALERTS,
    Key,
    SeriesNumbers,
    kept,
    rolled_hour,
    start_of,
    to_text,
)

T = TypeVar("T")
PRUNE_SECONDS = 60.0
DROP_SECONDS = 3600.0


class PostgresHistory:
    """Connects when it is used, and again after an error; belongs to one thread."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.left_out = 0
        self.refused = 0
        self.refused_reason = ""
        self._db: PgConnection | None = None
        self._ids = SeriesNumbers()
        self._partitions: set[tuple[str, float]] = set()
        self._batch = Batch()
        self._pruned_at = self._dropped_at = float("-inf")

    def open(self) -> None:
        """Connect, and make the tables where there are none; raises VedetteError."""
        self.attempt(lambda _: None)

    def close(self) -> None:
        """Disconnect; what was not committed is discarded. May be called twice."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def roll_back(self) -> None:
        """Discard what was added since the last commit."""
        self._batch = Batch()

    def _connected(self) -> PgConnection:
        if self._db is None or self._db.closed:
            db = psycopg.connect(self.database.conninfo.reveal(), autocommit=True)
            try:
                schema.migrate(db)
                rows = db.execute("SELECT id, site, device, entity FROM series").fetchall()
            except BaseException:
                db.close()
                raise
            self._ids = SeriesNumbers(
                ((site, device, entity), number) for number, site, device, entity in rows
            )
            self._partitions = set()
            self._db = db
        return self._db

    def attempt(self, work: Callable[[PgConnection], T]) -> T:
        """The result of `work` on the connection; raises StoreError, after which the next attempt connects anew."""
        try:
            return work(self._connected())
        except psycopg.Error as error:
            self.close()
            raise store_error(self.database, error) from None
        except VedetteError:
            self.close()
            raise

    # -- adding ------------------------------------------------------------------------------------------------

    def add_window(self, key: Key, end: float, seconds: float, fields: Mapping[str, Value]) -> None:
        """Add one window; its hour is rolled up (again)."""
        self._batch.windows[key, float(end)] = (seconds, to_text(fields))

    def add_sketch(self, key: Key, end: float, body: Mapping[str, Any]) -> None:
        """Add one message of sketches, as it came."""
        self._batch.sketches[key, float(end)] = to_text(body)

    def update(self, key: Key, update: Update) -> None:
        """Keep the last known values, and a mark for each change."""
        self._batch.updates.append((key, update))

    def set_alert(self, key: Key, state: str, first: float, at: float, body: Mapping[str, Any]) -> None:
        """Keep an alert as it is now."""
        before = self._batch.alerts.get(key)
        if before is None or before[2] <= at:
            self._batch.alerts[key] = (state, float(first), float(at), to_text(body))

    # -- writing -----------------------------------------------------------------------------------------------

    def commit(self, now: float) -> None:
        """Write all that was added; raises StoreError, and keeps it then."""
        if self._batch:
            self.attempt(lambda db: self._commit(db, now))
            self._batch = Batch()

    def _commit(self, db: PgConnection, now: float) -> None:
        try:
            self._write(db, now, careful=False)
        except (psycopg.Error, UnicodeError) as error:
            if not is_of_a_row(error):
                raise
            self._partitions = set()  # one may have been dropped by another collector
            self._write(db, now, careful=True)

    def _write(self, db: PgConnection, now: float, *, careful: bool) -> None:
        batch = self._batch
        wanted = batch.partitions(now) - self._partitions
        schema.make_partitions(db, wanted)
        self._partitions |= wanted
        rows = RowWriter(db, careful=careful)
        with db.transaction():
            new = self._new_series(rows)
            about = batch.keys()
            ids = {key: number for key in about if (number := self._ids.get(key) or new.get(key))}
            windows = [
                (ids[key], at, *values) for (key, at), values in batch.windows.items()
                if key in ids and schema.is_kept("window", at, now)
            ]  # fmt: skip
            rows.insert(statements.WINDOWS, windows)
            rows.insert(statements.STALE, {(number, start_of(at, HOUR)) for number, at, *_ in windows})
            rows.insert(statements.SKETCHES, [
                (ids[key], at, body) for (key, at), body in batch.sketches.items()
                if key in ids and schema.is_kept("sketch", at, now)
            ])  # fmt: skip
            marks = _update(rows, [(ids[key], update) for key, update in batch.updates if key in ids])
            kept_marks = {key: text for key, text in marks.items() if schema.is_kept("mark", key[1], now)}
            rows.insert(statements.MARKS, [(*key, text) for key, text in kept_marks.items()])
            rows.insert(statements.ALERTS, [(*key, *values) for key, values in batch.alerts.items()])
        for key, number in new.items():
            self._ids.add(key, number)
        self.refused += rows.refused
        self.refused_reason = rows.reason or self.refused_reason

    def _new_series(self, rows: RowWriter) -> dict[Key, int]:
        """The numbers of the series that this collector sees for the first time."""
        about = self._batch.keys()
        unknown = sorted(key for key in about if key not in self._ids)
        fits = self._ids.fitting(unknown)
        self.left_out += len(unknown) - len(fits)
        if not fits:
            return {}
        taken = rows.insert(statements.SERIES, fits)
        columns = [list(column) for column in zip(*taken, strict=True)] or [[], [], []]
        found = rows.select(statements.SERIES_IDS, columns)
        rows.insert(statements.NO_LATEST, [(number,) for number, *_ in found])
        return {(site, device, entity): number for number, site, device, entity in found}

    # -- alerts ------------------------------------------------------------------------------------------------

    def firing(self) -> set[Key]:
        """Site, device and id of the alerts that fire."""
        rows = self.attempt(
            lambda db: db.execute("SELECT site, device, id FROM alert WHERE state = 'firing'").fetchall()
        )
        return {(site, device, number) for site, device, number in rows}

    def end_alerts(self, keys: Iterable[Key], at: float) -> None:
        """Keep that firing alerts no longer fire, at once."""
        if columns := [list(column) for column in zip(*sorted(keys), strict=True)]:
            self.attempt(lambda db: db.execute(statements.END_ALERTS, (*columns, at)))

    # -- roll-ups and retention --------------------------------------------------------------------------------

    def roll_up(self, now: float, most: int = 200) -> int:
        """Roll up at most `most` hours that have ended; how many it was. One collector does so at a time."""
        return self.attempt(lambda db: _roll_up(db, now, most))

    def prune(self, now: float) -> None:
        """Remove alerts that are too old once a minute, and partitions once an hour."""
        if now - self._pruned_at >= PRUNE_SECONDS:
            self.attempt(_prune_alerts(now))
            self._pruned_at = now
        if now - self._dropped_at >= DROP_SECONDS:
            if self.attempt(lambda db: schema.drop_partitions(db, now)):
                self._partitions = set()
            self._dropped_at = now


def _update(rows: RowWriter, updates: list[tuple[int, Update]]) -> dict[tuple[int, float, str], str]:
    """Bring the last known values up to date; the marks, by series, time and kind."""
    numbers = sorted({number for number, _ in updates})
    if not numbers:
        return {}
    known: dict[int, Latest | None] = {
        number: (at, kept(body)) if at >= 0 else None
        for number, at, body in rows.select(statements.LATEST, (numbers,))
    }
    marks: dict[tuple[int, float, str], str] = {}
    for number, update in updates:
        known[number], new = applied(known.get(number), update)
        marks.update({(number, mark.at, mark.kind): mark.text for mark in new})
    changed = [(number, *latest) for number in numbers if (latest := known[number])]
    rows.insert(statements.SET_LATEST, [(number, at, to_text(fields)) for number, at, fields in changed])
    return marks


def _roll_up(db: PgConnection, now: float, most: int) -> int:
    with db.transaction():
        held = db.execute("SELECT pg_try_advisory_xact_lock(%s)", (schema.ROLL_UP_LOCK,)).fetchone()
        due = (
            db.execute(statements.DUE, (now - HOUR - LATE_SECONDS, most)).fetchall()
            if held and held[0]
            else []
        )
        if not due:
            return 0
        rows = RowWriter(db, careful=False)
        rolled = _rolled(rows, due, now)
        rows.insert(statements.HOURS, [(*hour, to_text(body)) for hour, body in rolled.items()])
        days = sorted({(number, start_of(at + 1.0, DAY)) for number, at in rolled})
        rows.insert(statements.DAYS, _merged(rows, days))
        rows.insert(statements.DONE, due)
        return len(due)


def _rolled(
    rows: RowWriter, due: list[Row], now: float
) -> dict[tuple[int, float], dict[str, rollup.Aggregate]]:
    """Roll-ups by series and hour; hours without a window, and without one that was kept, are not among them."""
    columns = [list(column) for column in zip(*due, strict=True)]
    windows: dict[tuple[int, float], list[tuple[float, str]]] = {}
    for number, at, seconds, body in rows.select(statements.DUE_WINDOWS, columns):
        windows.setdefault((number, at), []).append((seconds, body))
    before = {(number, at): body for number, at, body in rows.select(statements.DUE_HOURS, columns)}
    found = {
        (number, at): rolled_hour(at, now, windows.get((number, at), ()), before.get((number, at)))
        for number, at in due
    }
    return {hour: body for hour, body in found.items() if body}


def _merged(rows: RowWriter, days: list[tuple[int, float]]) -> list[Row]:
    if not days:
        return []
    hours: dict[tuple[int, float], list[Mapping[str, Any]]] = {}
    columns = [list(column) for column in zip(*days, strict=True)]
    for number, at, body in rows.select(statements.HOURS_OF_DAYS, columns):
        hours.setdefault((number, at), []).append(kept(body))
    return [(number, at, to_text(rollup.merge(bodies))) for (number, at), bodies in hours.items()]


def _prune_alerts(now: float) -> Callable[[PgConnection], None]:
    def prune(db: PgConnection) -> None:
        for statement, value in zip(
            statements.PRUNE_ALERTS, (now - KEPT_MARKS_SECONDS, MOST_ALERTS), strict=True
        ):
            db.execute(statement, (value,))

    return prune
