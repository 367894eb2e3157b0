"""Topics that the broker refuses at present: each is held back alone, with a backoff. Pure.

Laws:

1. A refused topic is held: its rows are parked in order by their ids, and only one of them is tried when the
   pause is over. The pause doubles with each refusal of that try.
2. A topic that is accepted again gives back all its rows, oldest first.
3. A new connection ends all holds (access rules may have been mended), except those of messages that are
   suspected of ending the connection, or whose refusal the broker followed with the connection's end: it would
   do so again, and nothing else would be delivered.
4. One that was only too fast (`brief`) waits for seconds. It counts, and is shown, from when its pause is as long as
   that of any other.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, field

from agent.delivery.mqtt.direct import DirectPublish
from agent.delivery.outbox.rows import RowKey

BRIEF_SECONDS = 2.0
FIRST_SECONDS = 30.0
LONGEST_SECONDS = 600.0
HANG_UP_SECONDS = 2.0
"""A connection that ends so soon after a refusal is taken to have ended by it."""

SHOWN_TOPICS = 3
LOGGED_TOPICS = 5  # at one time; `vedette status` counts the others


@dataclass(slots=True)
class _Hold:
    reason: str
    until: float
    wait: float
    suspected: bool = False
    at: float = 0.0  # of the last refusal
    survives: bool = False  # the next connections, too
    trying: bool = False
    rows: list[RowKey] = field(default_factory=list)
    direct: DirectPublish | None = None


class Refusals:
    """The held topics of one broker; `now` is monotonic."""

    def __init__(self) -> None:
        self._held: dict[str, _Hold] = {}

    def __len__(self) -> int:
        return sum(hold.wait >= FIRST_SECONDS for hold in self._held.values())

    def __str__(self) -> str:
        counted = [(topic, hold) for topic, hold in self._held.items() if hold.wait >= FIRST_SECONDS]
        shown = [f"{topic}: {hold.reason}" for topic, hold in counted[:SHOWN_TOPICS]]
        more = len(counted) - len(shown)
        return "; ".join(shown) + (f"; and {more} more" if more > 0 else "")

    def holds(self, topic: str) -> bool:
        """Whether nothing is to be sent to `topic` now."""
        return topic in self._held

    def suspected(self, topic: str) -> bool:
        """Whether `topic` is held because of a message that is suspected of ending the connection."""
        return topic in self._held and self._held[topic].suspected

    def refused(
        self, topic: str, reason: str, now: float, *, suspected: bool = False, brief: bool = False
    ) -> bool:
        """The broker does not take `topic`; whether that is worth a line: new, and one of a few."""
        hold = self._held.get(topic)
        if hold is None:
            wait = BRIEF_SECONDS if brief else FIRST_SECONDS
            self._held[topic] = _Hold(reason, now + wait, wait, suspected, now)
            return not brief and len(self) <= LOGGED_TOPICS
        hold.at, before = now, hold.wait
        if hold.trying or now >= hold.until:
            hold.wait = min(2 * hold.wait, LONGEST_SECONDS)
            hold.until, hold.trying = now + hold.wait, False
        hold.reason, hold.suspected = reason, hold.suspected or suspected
        return before < FIRST_SECONDS <= hold.wait and len(self) <= LOGGED_TOPICS

    def park(self, topic: str, key: RowKey) -> None:
        """Keep the id of a row until `topic` is accepted."""
        insort(self._held[topic].rows, key)

    def park_direct(self, item: DirectPublish) -> None:
        """Keep what does not come from the outbox; only the newest of a topic counts."""
        self._held[item.topic].direct = item

    def due(self, now: float) -> Iterator[tuple[str, RowKey | DirectPublish]]:
        """One row or publish of each topic whose pause is over; it is to be sent now, by `topic`."""
        for topic, hold in list(self._held.items()):
            if hold.trying or now < hold.until or topic not in self._held:
                continue
            item = hold.rows[0] if hold.rows else hold.direct
            if item is None:
                del self._held[topic]  # nothing is left that could be refused
                continue
            yield topic, item

    def take_older(self, topic: str, key: RowKey) -> list[RowKey]:
        """Take out the parked rows of `topic` that come before `key` in its lane."""
        hold = self._held.get(topic)
        if hold is None:
            return []
        older = [one for one in hold.rows if one[0] == key[0] and one[1] < key[1]]
        hold.rows = [one for one in hold.rows if one not in older]
        return older

    def taken(self, topic: str, *, trying: bool) -> None:
        """What `due` gave out is dealt with; `trying`: it was sent to `topic`, and the answer decides."""
        hold = self._held[topic]
        hold.trying = trying
        if hold.rows:
            hold.rows.pop(0)
        else:
            hold.direct = None

    def remove(self, topic: str) -> tuple[list[RowKey], DirectPublish | None]:
        """`topic` is accepted: what was kept of it, in order."""
        hold = self._held.pop(topic, None)
        return (hold.rows, hold.direct) if hold else ([], None)

    def retry_soon(self, now: float) -> None:
        """Suspected topics are tried again now: the broker has proved to take others."""
        for hold in self._held.values():
            if hold.suspected and not hold.trying:
                hold.until = now

    def oldest(self, most: int) -> list[RowKey]:
        """Take up to `most` parked rows out, those of the topic that has most of them first."""
        hold = max(self._held.values(), key=lambda one: len(one.rows), default=None)
        if hold is None:
            return []
        taken, hold.rows = hold.rows[:most], hold.rows[most:]
        return taken

    def connection_ended(self, now: float) -> None:
        """The connection ended by itself: law 3 for what was refused just before."""
        for hold in self._held.values():
            hold.survives |= now - hold.at <= HANG_UP_SECONDS

    def reconnected(self) -> None:
        """Law 3; the parked ids are dropped, since a new connection leases all rows again."""
        self._held = {topic: hold for topic, hold in self._held.items() if hold.suspected or hold.survives}
        for hold in self._held.values():
            hold.rows, hold.direct, hold.trying = [], None, False
