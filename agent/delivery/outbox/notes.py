"""What the outbox keeps beside its messages: the alerts that stand, and the commands that were carried out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.core.types import Priority
from agent.delivery.messages import clears_retained
from agent.delivery.outbox.rows import OutboxRow, unpack
from agent.delivery.outbox.store import MessageStore, table

STANDING_AT_MOST = 1000
COMMAND_MEMORY_SECONDS = 7 * 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetainedMessage:
    """A retained message that still holds (a firing alert): published again on each connect."""

    topic: str
    seq: int
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class NotesCopy:
    """All notes, on their way to the outbox that takes this one's place: (topic, seq, payload), (id, Unix time)."""

    standing: Sequence[tuple[str, int, bytes]]
    commands: Sequence[tuple[str, float]]


class Notes:
    """The notes in `store`; its methods raise the store's errors."""

    def __init__(self, store: MessageStore) -> None:
        self._store = store

    def note_alerts(self, sql: sqlite3.Connection, rows: Sequence[OutboxRow]) -> None:
        """Keep what stays true until it is taken back: the last message of each alert that is not resolved.

        Part of the transaction that accepts `rows`.
        """
        for row in rows:
            if clears_retained(row.family, retain=row.retain):
                sql.execute("DELETE FROM standing WHERE topic = ?", (row.topic,))
            elif row.retain:
                values = (row.topic, row.seq, row.payload)
                sql.execute("INSERT OR REPLACE INTO standing VALUES (?, ?, ?)", values)
        if rows:
            sql.execute(
                "DELETE FROM standing WHERE seq <= (SELECT seq FROM standing ORDER BY seq DESC LIMIT 1 OFFSET ?)",
                (STANDING_AT_MOST,),
            )

    def correct(self, sql: sqlite3.Connection, rows: Iterable[OutboxRow]) -> None:
        """Have the standing alerts among `rows` stand with their payload as it is now; part of a transaction."""
        sql.executemany(
            "UPDATE standing SET payload = ? WHERE topic = ? AND seq = ?",
            [(row.payload, row.topic, row.seq) for row in rows],
        )

    def standing(self) -> list[RetainedMessage]:
        """Firing alerts of which no message is in the queue any more, oldest first."""
        found = self._store.query(
            "SELECT topic, seq, payload FROM standing"
            f" WHERE topic NOT IN (SELECT topic FROM {table(Priority.ALERT)}) ORDER BY seq"
        )
        return [
            RetainedMessage(topic=topic, seq=seq, payload=unpack(payload)) for topic, seq, payload in found
        ]

    def first_time(self, command_id: str, now: float) -> bool:
        """Remember a command on disk; False where it is known already (it was delivered twice)."""
        with self._store.transaction() as sql:
            sql.execute("DELETE FROM command WHERE at < ?", (now - COMMAND_MEMORY_SECONDS,))
            return sql.execute("INSERT OR IGNORE INTO command VALUES (?, ?)", (command_id, now)).rowcount == 1

    def copy(self) -> NotesCopy:
        """All of them."""
        return NotesCopy(
            standing=self._store.query("SELECT topic, seq, payload FROM standing"),
            commands=self._store.query("SELECT id, at FROM command"),
        )

    def take_over(self, copy: NotesCopy) -> None:
        """Have these alerts stand instead of those here, and know these commands too."""
        with self._store.transaction() as sql:
            sql.execute("DELETE FROM standing")
            sql.executemany("INSERT INTO standing VALUES (?, ?, ?)", copy.standing)
            sql.executemany("INSERT OR IGNORE INTO command VALUES (?, ?)", copy.commands)
