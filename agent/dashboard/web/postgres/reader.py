"""The `HistoryReader` of PostgreSQL: a few connections that can only read, shared by all threads."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from types import TracebackType
from typing import Any

import psycopg
import psycopg_pool

from agent.dashboard.web.postgres import schema
from agent.dashboard.web.postgres.address import Database, store_error
from agent.dashboard.web.postgres.schema import PgConnection
from agent.dashboard.web.store import StoreError

MOST_CONNECTIONS = 8
WAIT_SECONDS = 5.0
_READ_ONLY = "SET default_transaction_read_only = on; SET statement_timeout = '20s'"


class PostgresRows:
    """A context manager; connects when it is asked, and again after a failure."""

    def __init__(self, database: Database) -> None:
        self._database, self._checked = database, False
        self._pool = psycopg_pool.ConnectionPool(
            database.conninfo.reveal(), kwargs={"autocommit": True}, configure=_configure, open=False, min_size=0,
            max_size=MOST_CONNECTIONS, timeout=WAIT_SECONDS, check=psycopg_pool.ConnectionPool.check_connection,
            num_workers=1,
        )  # fmt: skip

    def __enter__(self) -> PostgresRows:
        logging.getLogger("psycopg.pool").setLevel(
            logging.CRITICAL
        )  # a page says what fails; this would, each time
        self._pool.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.close()

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows that a SELECT gives; raises StoreError."""
        try:
            with self._pool.connection() as db:
                if not self._checked:
                    schema.check_version(db)
                    self._checked = True
                return db.execute(_numbered(statement), values).fetchall()
        except psycopg_pool.PoolTimeout:
            raise StoreError(f"{self._database.shown}: no connection within {WAIT_SECONDS:.0f} s") from None
        except (psycopg.Error, UnicodeError) as error:
            raise store_error(self._database, error) from None


def _configure(db: PgConnection) -> None:
    db.execute(f"SET search_path TO {schema.SCHEMA}")
    db.execute(_READ_ONLY)


@lru_cache(maxsize=64)
def _numbered(statement: str) -> bytes:
    """With psycopg's placeholders: the statements are SQLite's, and hold no `?` but those."""
    return statement.replace("%", "%%").replace("?", "%s").encode()
