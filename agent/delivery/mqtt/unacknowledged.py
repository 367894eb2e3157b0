"""The publishes that wait for the broker's answer, oldest first, and what each of them carries. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from agent.delivery.mqtt.direct import DirectPublish
from agent.delivery.outbox.rows import OutboxRow, RowKey


@dataclass(slots=True, eq=False)
class SentRow:
    """A row of the outbox that was sent to `topic`; it is delivered after `awaited` answers."""

    row: OutboxRow
    topic: str
    awaited: int = 1

    @property
    def key(self) -> RowKey:
        """What names it across connections."""
        return self.row.key

    @property
    def size(self) -> int:
        """Bytes of its payload, packed as on disk."""
        return len(self.row.payload)


SentMessage = SentRow | DirectPublish


class Unacknowledged:
    """By packet identifier. What is disowned is on its way all the same: its answer alone is of no interest."""

    def __init__(self) -> None:
        self._sent: dict[int, SentMessage | None] = {}

    def __len__(self) -> int:
        return len(self._sent)

    def __bool__(self) -> bool:
        return bool(self._sent)

    def add(self, mid: int, sent: SentMessage) -> None:
        """`sent` went out under `mid`, after all others."""
        self._sent[mid] = sent

    def take(self, mid: int) -> SentMessage | None:
        """The broker answered `mid`: what it carried; None where that is disowned, or `mid` unknown."""
        return self._sent.pop(mid, None)

    def oldest(self) -> SentMessage | None:
        """What waits longest for its answer; None where that is disowned, or nothing waits."""
        return next(iter(self._sent.values()), None)

    def topic_in_use(self, topic: str) -> bool:
        """Whether a row is on its way to `topic`."""
        return any(isinstance(sent, SentRow) and sent.topic == topic for sent in self._sent.values())

    def disown(self, row: SentRow) -> None:
        """`row` is dealt with, whatever the broker answers to the rest of it."""
        self._sent = {mid: None if sent is row else sent for mid, sent in self._sent.items()}

    def disown_rows(self) -> list[SentRow]:
        """Disown all rows; which these were, each once."""
        rows = dict.fromkeys(sent for sent in self._sent.values() if isinstance(sent, SentRow))
        self._sent = {mid: None if isinstance(sent, SentRow) else sent for mid, sent in self._sent.items()}
        return list(rows)

    def clear(self) -> None:
        """The connection is gone."""
        self._sent.clear()
