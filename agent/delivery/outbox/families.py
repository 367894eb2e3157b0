"""Sequence numbers and loss counts of the message families, which laws 2 and 4 of the queue need."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace

from agent.delivery.outbox.store import MessageStore


@dataclass(slots=True)
class FamilyCounts:
    """Of one family: `seq` is the last number given out, `lost` how many losses no message has reported yet.

    `lost_total` counts those of the life of the file.
    """

    seq: int = 0
    lost: int = 0
    lost_total: int = 0


class Families:
    """The counts of each family, by its name. A copy is changed, and replaces the original once it is on disk."""

    def __init__(self, counts: Mapping[str, FamilyCounts] | None = None) -> None:
        self._counts = dict(counts or {})

    @classmethod
    def read(cls, store: MessageStore) -> Families:
        """The counts as the file has them; raises the store's errors."""
        rows = store.select("name, seq, lost, lost_total FROM family", (str, int, int, int))
        return cls({name: FamilyCounts(*counts) for name, *counts in rows})

    def write(self, sql: sqlite3.Connection, before: Families) -> None:
        """Write what differs from `before`, which the file holds; sqlite3.Error where that fails."""
        sql.executemany(
            "INSERT OR REPLACE INTO family VALUES (?, ?, ?, ?)",
            [
                (name, family.seq, family.lost, family.lost_total)
                for name, family in self._counts.items()
                if family != before._counts.get(name)
            ],
        )

    def copy(self) -> Families:
        """The same counts, to be changed apart."""
        return Families({name: replace(family) for name, family in self._counts.items()})

    def next(self, name: str) -> tuple[int, int]:
        """The next number of a family, and the losses that the message with that number reports."""
        family = self._counts.setdefault(name, FamilyCounts())
        family.seq += 1
        lost, family.lost = family.lost, 0
        return family.seq, lost

    def refuse(self, name: str, report: int) -> None:
        """The number given out last is no message's: it is lost, and the `report` of losses is still to be made."""
        self.lose(name, 1)
        self._counts[name].lost += report

    def skip(self, name: str, count: int) -> None:
        """Give out `count` numbers to messages that are lost already."""
        self._counts.setdefault(name, FamilyCounts()).seq += count
        self.lose(name, count)

    def lose(self, name: str, count: int, reported: int = 0) -> None:
        """Count numbers as lost; `reported` of them were counted before, in a report that is lost with them."""
        family = self._counts.setdefault(name, FamilyCounts())
        family.lost += count
        family.lost_total += count - reported

    def with_losses(self, lost: Mapping[str, int], reported: Mapping[str, int]) -> Families:
        """A copy in which these are lost, by family."""
        changed = self.copy()
        for name, count in lost.items():
            changed.lose(name, count, reported.get(name, 0))
        return changed

    def lost_total(self) -> dict[str, int]:
        """Messages lost so far, by family, over the life of the file; families that lost none are left out."""
        return {name: family.lost_total for name, family in self._counts.items() if family.lost_total}
