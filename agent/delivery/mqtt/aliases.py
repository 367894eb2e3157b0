"""Topic aliases of one connection (MQTT 5): two bytes in place of a topic that was sent before. Pure.

The broker says how many it takes; they end with the connection. A topic gets one when it is published for the second
time (an alert's topic is used once or twice).
"""

from __future__ import annotations

from dataclasses import dataclass

MOST_ALIASES = 64
_MOST_SEEN = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasedTopic:
    """What a PUBLISH carries: `topic` is empty where the broker knows `alias`; None: no alias."""

    topic: str
    alias: int | None = None


class TopicAliases:
    """Gives out aliases up to `maximum`, which the broker announced (0: it takes none)."""

    def __init__(self, maximum: int = 0) -> None:
        self._maximum = min(maximum, MOST_ALIASES)
        self._seen: dict[str, None] = {}
        self._numbers: dict[str, int] = {}

    def of(self, topic: str) -> AliasedTopic:
        """How to publish to `topic` next."""
        number = self._numbers.get(topic)
        if number is not None:
            return AliasedTopic(topic="", alias=number)
        if topic in self._seen and len(self._numbers) < self._maximum:
            return AliasedTopic(topic=topic, alias=len(self._numbers) + 1)
        return AliasedTopic(topic=topic)

    def sent(self, published: AliasedTopic) -> None:
        """What `of` gave out went into a packet: the broker will know it."""
        if published.topic and published.alias is not None:
            self._numbers[published.topic] = published.alias
        elif published.topic and self._maximum:
            self._seen[published.topic] = None
            if len(self._seen) > _MOST_SEEN:
                del self._seen[next(iter(self._seen))]
