"""What this device retains at its brokers, kept beside the messages: the alerts that stand, and every retained topic.

Laws:

1. A topic is recorded before it is published: a process that is killed between the two has recorded one topic too many,
   never one too few.
2. A record ends when the broker acknowledged the empty message that clears its topic.
3. Topics are recorded by broker, and with the device's prefix of that time: another broker, prefix or name begins anew.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

import structlog

from agent.core.printable import printable
from agent.core.types import Priority
from agent.core.untrusted import parse_object
from agent.delivery.messages import clears_retained
from agent.delivery.outbox.rows import OutboxRow, unpack
from agent.delivery.outbox.store import MessageStore, table

log = structlog.get_logger("vedette.delivery")

STANDING_AT_MOST = 1000
_STANDING_TYPES = (str, int, bytes)
_TOPICS, _TOPIC_TYPES = "broker, topic, prefix, kind FROM retained", (str, str, str, str)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetainedMessage:
    """A retained message that still holds (a firing alert): published again on each connect."""

    topic: str
    seq: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class RetainedTopic:
    """One topic that this device published retained.

    `broker` is `BrokerAddress.server`, `prefix` the device's part of the topics at that time, `kind` what was
    published: a family of messages, or `discovery`.
    """

    broker: str
    topic: str
    prefix: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetainedCopy:
    """All records, on their way to the outbox that takes this one's place; `standing` is (topic, seq, payload)."""

    standing: Sequence[tuple[str, int, bytes]]
    topics: Sequence[tuple[str, str, str, str]]


class RetainedRecords:
    """The records in `store`; its methods raise the store's errors."""

    def __init__(self, store: MessageStore) -> None:
        self._store = store

    # -- alerts -------------------------------------------------------------------------------------------------

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

    def standing(self, device: str) -> list[RetainedMessage]:
        """Firing alerts of which no message is in the queue any more, oldest first; `device` is our name now."""
        found = self._store.select(
            "topic, seq, payload FROM standing"
            f" WHERE topic NOT IN (SELECT topic FROM {table(Priority.ALERT)}) ORDER BY seq",
            _STANDING_TYPES,
        )
        standing: list[RetainedMessage] = []
        for topic, seq, stored in found:
            try:
                payload = _of_device(unpack(stored), device)
            except ValueError as error:  # the others stand all the same
                log.error(
                    "an alert cannot be published again", topic=printable(topic, 200), reason=str(error)
                )
                continue
            standing.append(RetainedMessage(topic=topic, seq=seq, payload=payload))
        return standing

    def alert_topics(self) -> set[str]:
        """Topics, without prefix, of the alerts that fire or of which a message waits."""
        found = self._store.select(
            f"topic FROM standing UNION SELECT topic FROM {table(Priority.ALERT)}", (str,)
        )
        return {topic for (topic,) in found}

    # -- topics -------------------------------------------------------------------------------------------------

    def record(self, topics: Iterable[RetainedTopic]) -> None:
        """Record topics that are about to be published."""
        with self._store.transaction() as sql:
            sql.executemany(
                "INSERT OR REPLACE INTO retained VALUES (?, ?, ?, ?)", [astuple(one) for one in topics]
            )

    def remove(self, broker: str, topics: Iterable[str]) -> None:
        """Remove the records of topics that were cleared."""
        with self._store.transaction() as sql:
            sql.executemany(
                "DELETE FROM retained WHERE broker = ? AND topic = ?", [(broker, topic) for topic in topics]
            )

    def topics(self) -> list[RetainedTopic]:
        """All records."""
        found = self._store.select(f"{_TOPICS} ORDER BY broker, topic", _TOPIC_TYPES)
        return [RetainedTopic(*values) for values in found]

    # -- over to another outbox ---------------------------------------------------------------------------------

    def copy(self) -> RetainedCopy:
        """All of it."""
        return RetainedCopy(
            standing=self._store.select("topic, seq, payload FROM standing", _STANDING_TYPES),
            topics=self._store.select(_TOPICS, _TOPIC_TYPES),
        )

    def take_over(self, copy: RetainedCopy) -> None:
        """Have these alerts stand instead of those here, and know these topics too."""
        with self._store.transaction() as sql:
            sql.execute("DELETE FROM standing")
            sql.executemany("INSERT INTO standing VALUES (?, ?, ?)", copy.standing)
            sql.executemany("INSERT OR IGNORE INTO retained VALUES (?, ?, ?, ?)", copy.topics)


def _of_device(payload: bytes, device: str) -> bytes:
    """`payload` with the name that the device has now."""
    try:
        body = parse_object(payload)
    except ValueError:
        return payload
    if body.get("device") == device:
        return payload
    return json.dumps({**body, "device": device}, separators=(",", ":"), ensure_ascii=False).encode()
