"""Finds subscriptions on which the broker disconnects, and when to request them again. Pure.

AWS IoT and others hang up on who subscribes to what he may not; some say "wildcard subscriptions not supported" so.

Laws:

1. A broker answers in order: where a connection ends before all were answered, the first without an answer is
   suspected, and nothing that was published after it.
2. After `MOST_HANG_UPS` in a row, with no answer between, it is not asked for until a pause is over. The line may have
   broken by chance: so the pause ends, and doubles with each time that the connection ends over it again.
3. An answer, whatever it says, acquits.
"""

from __future__ import annotations

from dataclasses import dataclass

MOST_HANG_UPS = 2
FIRST_SECONDS = 600.0
LONGEST_SECONDS = 6 * 3600.0


@dataclass(slots=True)
class _Record:
    hang_ups: int = 0
    until: float = 0.0
    wait: float = 0.0


class HangUps:
    """The subscriptions of one device; `now` is boot time."""

    def __init__(self) -> None:
        self._asked: dict[str, None] = {}  # without an answer, the oldest first
        self._records: dict[str, _Record] = {}

    def may_ask(self, topic: str, now: float) -> bool:
        """Whether to subscribe to `topic`."""
        record = self._records.get(topic)
        return record is None or record.hang_ups < MOST_HANG_UPS or now >= record.until

    def due(self, now: float) -> list[str]:
        """The topics whose pause is over."""
        held = [topic for topic, one in self._records.items() if one.hang_ups >= MOST_HANG_UPS]
        return [topic for topic in held if topic not in self._asked and self.may_ask(topic, now)]

    def asked(self, topic: str) -> None:
        """The broker is asked for `topic`."""
        self._asked[topic] = None

    def answered(self, topic: str) -> None:
        """Law 3."""
        self._asked.pop(topic, None)
        self._records.pop(topic, None)

    def connection_ended(self, now: float) -> tuple[str, bool]:
        """The topic that is suspected ("" for none), and whether it is not asked for any more for a while."""
        suspect = next(iter(self._asked), "")
        self._asked.clear()
        if not suspect:
            return "", False
        record = self._records.setdefault(suspect, _Record())
        record.hang_ups += 1
        if record.hang_ups < MOST_HANG_UPS:
            return suspect, False
        record.wait = min(2 * record.wait, LONGEST_SECONDS) or FIRST_SECONDS
        record.until = now + record.wait
        return suspect, True

    def replaced(self) -> None:
        """The connection was replaced by another on purpose: what was not answered says nothing."""
        self._asked.clear()
