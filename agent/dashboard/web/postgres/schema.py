"""Tables in the schema `vedette`, and their partitions: made ahead and on demand, dropped as a whole when too old.

Laws:

1. Whoever makes or drops tables holds the lock SCHEMA_LOCK: two that start at once do it one after the other.
2. A row is only written where its time is one that is kept, so there are never more partitions than `most_partitions`.
3. Partitions are made outside the transaction that fills them: nobody waits for a lock while it holds another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

import psycopg
from psycopg import errors, sql

from agent.core.errors import VedetteError
from agent.dashboard.web.fields import DAY, FUTURE_SECONDS, OLDEST_SECONDS
from agent.dashboard.web.store import HOUR, KEPT_MARKS_SECONDS, KEPT_SECONDS

PgConnection = psycopg.Connection[tuple[Any, ...]]
SCHEMA = "vedette"
VERSION = 1
SCHEMA_LOCK = 0x7665_6465_7474_0001
ROLL_UP_LOCK = 0x7665_6465_7474_0002
WIDTHS: Mapping[str, float] = {
    "window": DAY,
    "sketch": DAY,
    "hour": 7 * DAY,
    "mark": 7 * DAY,
    "day": 90 * DAY,
}
"""Seconds that a partition of each table covers."""
KEPT: Mapping[str, float] = {**KEPT_SECONDS, "mark": KEPT_MARKS_SECONDS}
_LOCK_TIMEOUT = "2s"

_TABLES = """
CREATE TABLE vedette.version(number integer NOT NULL);
CREATE TABLE vedette.series(id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, site text NOT NULL,
    device text NOT NULL, entity text NOT NULL, UNIQUE(site, device, entity));
CREATE TABLE vedette.latest(series bigint PRIMARY KEY, at double precision NOT NULL, body text NOT NULL)
    WITH (fillfactor = 70);
CREATE TABLE vedette."window"(series bigint, at double precision, seconds double precision NOT NULL,
    body text NOT NULL, PRIMARY KEY(series, at)) PARTITION BY RANGE (at);
CREATE TABLE vedette.hour(series bigint, at double precision, body text NOT NULL, PRIMARY KEY(series, at))
    PARTITION BY RANGE (at);
CREATE TABLE vedette.day(series bigint, at double precision, body text NOT NULL, PRIMARY KEY(series, at))
    PARTITION BY RANGE (at);
CREATE TABLE vedette.stale(series bigint, at double precision, PRIMARY KEY(series, at));
CREATE INDEX stale_at ON vedette.stale(at);
CREATE TABLE vedette.sketch(series bigint, at double precision, body text NOT NULL, PRIMARY KEY(series, at))
    PARTITION BY RANGE (at);
CREATE TABLE vedette.mark(series bigint, at double precision, kind text, text text NOT NULL,
    PRIMARY KEY(series, at, kind)) PARTITION BY RANGE (at);
CREATE TABLE vedette.alert(site text, device text, id text, state text NOT NULL, first_seen double precision NOT NULL,
    changed_at double precision NOT NULL, body text NOT NULL, PRIMARY KEY(site, device, id));
CREATE INDEX alert_changed ON vedette.alert(changed_at);
CREATE TABLE vedette.collector(client text PRIMARY KEY, broker text NOT NULL, filters text NOT NULL,
    seen_at double precision NOT NULL);
CREATE INDEX alert_firing ON vedette.alert(changed_at) WHERE state = 'firing';
"""


def migrate(db: PgConnection) -> None:
    """Make the tables where there are none; raises VedetteError where a newer Vedette made them."""
    with db.transaction():
        _lock(db)
        if _version(db) is None:
            found = db.execute("SELECT to_regnamespace('vedette') IS NOT NULL").fetchone()
            if not found or not found[0]:  # IF NOT EXISTS would ask for the right to make one in any case
                db.execute("CREATE SCHEMA vedette")
            db.execute(_TABLES)
            db.execute("INSERT INTO vedette.version VALUES (%s)", (VERSION,))
    check_version(db)
    db.execute(f"SET search_path TO {SCHEMA}")


def check_version(db: PgConnection) -> None:
    """Raise VedetteError where the tables are not there, or not this Vedette's."""
    found = _version(db)
    if found is None:
        raise VedetteError("the database holds no history yet: start `vedette collect` on it")
    if found != VERSION:
        raise VedetteError(
            f"the database's tables are of version {found}, this Vedette knows {VERSION}: install the version of "
            "Vedette that the other collectors have"
        )


def _version(db: PgConnection) -> int | None:
    row = db.execute("SELECT to_regclass('vedette.version') IS NOT NULL").fetchone()
    if not row or not row[0]:
        return None
    found = db.execute("SELECT number FROM vedette.version").fetchone()
    return int(found[0]) if found else None


def _lock(db: PgConnection) -> None:
    db.execute("SELECT pg_advisory_xact_lock(%s)", (SCHEMA_LOCK,))


# -- partitions ----------------------------------------------------------------------------------------------------


def is_kept(table: str, at: float, now: float) -> bool:
    """Whether a row about this time is written.

    A window of a month ago is, for its hour, if no longer than until that is rolled up.
    """
    longest = OLDEST_SECONDS + HOUR if table == "window" else KEPT[table]
    return now - longest < at < now + FUTURE_SECONDS + DAY


def most_partitions(table: str) -> int:
    """How many partitions of a table there can be at a time."""
    longest = OLDEST_SECONDS + HOUR if table == "window" else KEPT[table]
    return int((longest + FUTURE_SECONDS + DAY) // WIDTHS[table]) + 3


def begin_of(table: str, at: float) -> float:
    """When the partition that holds this time begins."""
    return at // WIDTHS[table] * WIDTHS[table]


def partition_name(table: str, begin: float) -> str:
    """Its name: `window_20261127`."""
    return f"{table}_{datetime.fromtimestamp(begin, timezone.utc):%Y%m%d}"


def make_partitions(db: PgConnection, wanted: Iterable[tuple[str, float]]) -> None:
    """Make those partitions, by table and begin, that are not there."""
    for table, begin in sorted(wanted):
        with db.transaction():
            _lock(db)
            db.execute(
                sql.SQL("CREATE TABLE IF NOT EXISTS {} PARTITION OF {} FOR VALUES FROM ({}) TO ({})").format(
                    sql.Identifier(SCHEMA, partition_name(table, begin)), sql.Identifier(SCHEMA, table),
                    sql.Literal(begin), sql.Literal(begin + WIDTHS[table]),
                )
            )  # fmt: skip


def partitions(db: PgConnection, table: str) -> list[tuple[str, float]]:
    """Name and begin of the partitions of a table."""
    rows = db.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = to_regclass(%s)",
        (f'{SCHEMA}."{table}"',),
    ).fetchall()
    return sorted((name, _begin(name)) for (name,) in rows)


def _begin(name: str) -> float:
    return datetime.strptime(name.rpartition("_")[2], "%Y%m%d").replace(tzinfo=timezone.utc).timestamp()


def drop_partitions(db: PgConnection, now: float) -> list[str]:
    """Drop what is too old as a whole; windows stay until their hours are rolled up. The names of what was dropped."""
    dropped = []
    for table, width in WIDTHS.items():
        for name, begin in partitions(db, table):
            if begin + width < now - KEPT[table] and _drop(db, table, name, begin):
                dropped.append(name)
    return dropped


def _drop(db: PgConnection, table: str, name: str, begin: float) -> bool:
    """Drop one, unless it is in use: another time."""
    try:
        with db.transaction():
            db.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
            _lock(db)
            waits = "SELECT 1 FROM vedette.stale WHERE at >= %s AND at < %s LIMIT 1"
            if table == "window" and db.execute(waits, (begin - HOUR, begin + WIDTHS[table])).fetchone():
                return False
            db.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(SCHEMA, name)))
            return True
    except (errors.LockNotAvailable, errors.DeadlockDetected):
        return False
