"""The commands that were carried out, kept beside the messages: each is carried out at most once."""

from __future__ import annotations

from collections.abc import Sequence

from agent.delivery.outbox.store import MessageStore

COMMAND_MEMORY_SECONDS = 7 * 86400.0

ExecutedCopy = Sequence[tuple[str, float]]
"""All of them, on their way to the outbox that takes this one's place: (id, Unix time)."""


class ExecutedCommands:
    """The ids of commands in `store`; its methods raise the store's errors."""

    def __init__(self, store: MessageStore) -> None:
        self._store = store

    def first_time(self, command_id: str, now: float) -> bool:
        """Record a command on disk; False where it is known already (it was delivered twice)."""
        with self._store.transaction() as sql:
            sql.execute("DELETE FROM command WHERE at < ?", (now - COMMAND_MEMORY_SECONDS,))
            return sql.execute("INSERT OR IGNORE INTO command VALUES (?, ?)", (command_id, now)).rowcount == 1

    def copy(self) -> ExecutedCopy:
        """All of them."""
        return self._store.select("id, at FROM command", (str, float))

    def take_over(self, copy: ExecutedCopy) -> None:
        """Know these commands too."""
        with self._store.transaction() as sql:
            sql.executemany("INSERT OR IGNORE INTO command VALUES (?, ?)", copy)
