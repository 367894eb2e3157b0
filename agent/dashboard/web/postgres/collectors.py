"""The collectors known to the database: one that is no longer seen is taken over, so that its session empties.

All moments are the database's own.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.core.untrusted import BadInput, parse_json
from agent.dashboard.web.postgres.schema import PgConnection
from agent.dashboard.web.postgres.writer import PostgresHistory
from agent.dashboard.web.store import to_text

_NOW = "extract(epoch FROM clock_timestamp())::float8"
_BEAT = f"""
INSERT INTO collector VALUES (%s, %s, %s, {_NOW})
    ON CONFLICT (client) DO UPDATE
    SET broker = EXCLUDED.broker, filters = EXCLUDED.filters, seen_at = EXCLUDED.seen_at"""
_ORPHAN = f"""
UPDATE collector SET seen_at = {_NOW} WHERE client = (
    SELECT client FROM collector WHERE broker = %s AND client <> ALL(%s) AND seen_at < {_NOW} - %s
        ORDER BY seen_at LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING client, filters"""
_LEAVE = f"""
DELETE FROM collector WHERE client = %s AND EXISTS (
    SELECT 1 FROM collector WHERE client <> %s AND broker = %s AND seen_at > {_NOW} - %s)"""
LEAVE_LOCK = 0x7665_6465_7474_0003


class Collectors:
    """The collectors at one broker, through the connection of a writer; raises StoreError."""

    def __init__(self, history: PostgresHistory, broker: str) -> None:
        self._history, self.broker = history, broker

    def beat(self, client: str, filters: Sequence[str]) -> None:
        """Keep that a session is in use, with its subscriptions."""
        self._history.attempt(lambda db: db.execute(_BEAT, (client, self.broker, to_text(list(filters)))))

    def orphan(self, known: Sequence[str], seconds: float) -> tuple[str, list[str]] | None:
        """A session that nobody kept for so many seconds, none of `known`; it is the caller's to empty now."""
        row = self._history.attempt(
            lambda db: db.execute(_ORPHAN, (self.broker, list(known), seconds)).fetchone()
        )
        return (row[0], _filters(row[1])) if row else None

    def leave(self, client: str, seconds: float) -> bool:
        """Remove a collector, unless it is the last: of others one must have been seen within so many seconds."""

        def remove(db: PgConnection) -> bool:
            with db.transaction():
                db.execute("SELECT pg_advisory_xact_lock(%s)", (LEAVE_LOCK,))
                return bool(db.execute(_LEAVE, (client, client, self.broker, seconds)).rowcount)

        return self._history.attempt(remove)

    def remove(self, client: str) -> None:
        """Remove a session that is empty and ended."""
        self._history.attempt(lambda db: db.execute("DELETE FROM collector WHERE client = %s", (client,)))


def _filters(text: str) -> list[str]:
    try:
        found = parse_json(text)
    except BadInput:
        return []
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
