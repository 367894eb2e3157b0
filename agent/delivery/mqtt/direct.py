"""What goes to the broker beside the outbox (status, standing alerts, replies), waiting for room in the window."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DirectPublish:
    """One publish. `belongs_to` is the message of the outbox that it completes, if any."""

    topic: str
    payload: bytes
    retain: bool = False
    correlation: bytes | None = None
    belongs_to: Any = None

    @property
    def key(self) -> str:
        """What names it across connections."""
        return self.topic

    @property
    def size(self) -> int:
        """Bytes of its payload."""
        return len(self.payload)


class DirectQueue:
    """First come first go; of what is retained only the newest of a topic is worth sending."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[Hashable, DirectPublish] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, item: DirectPublish) -> None:
        """Add at the end."""
        key = _key(item)
        self._waiting.pop(key, None)
        self._waiting[key] = item

    def put_first(self, item: DirectPublish) -> None:
        """Add in front of all."""
        self.put(item)
        self._waiting.move_to_end(_key(item), last=False)

    def take(self) -> DirectPublish:
        """The next one; KeyError where none waits."""
        return self._waiting.popitem(last=False)[1]

    def drop(self, belongs_to: object) -> None:
        """Drop what completes a message that will not be completed."""
        for key, item in list(self._waiting.items()):
            if item.belongs_to is belongs_to:
                del self._waiting[key]

    def retained_topics(self) -> list[str]:
        """The topics that will hold something retained."""
        return [item.topic for item in self._waiting.values() if item.retain and item.payload]

    def clear(self) -> None:
        """Drop everything."""
        self._waiting.clear()


def _key(item: DirectPublish) -> Hashable:
    return item.topic if item.retain and item.belongs_to is None else id(item)
