"""Limits equal log lines: selects those that are logged, and summarises the others. Pure.

Laws
----
1. The first BURST lines of a kind within INTERVAL_SECONDS are logged; later ones are counted, not logged.
2. At the end of the interval the last of those counted is logged once, with their number.
3. While a flood goes on, that is all that is logged of it: one line an interval.
4. An interval without any is the end of the flood: the next line is logged at once again.
5. Nothing is counted for ever: at most MOST_KINDS kinds are remembered, the longest untouched go first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

BURST = 3
INTERVAL_SECONDS = 60.0
MOST_KINDS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """Lines that were held back: how many, over how long, and the last of them."""

    times: int
    seconds: float
    last: Mapping[str, Any]


@dataclass(slots=True, eq=False)
class _Kind:
    begun: float
    allowance: int = BURST
    held: int = 0
    last: Mapping[str, Any] = field(default_factory=dict)


class Repeats:
    """Counts lines by their kind; for one thread at a time."""

    def __init__(self) -> None:
        self._kinds: OrderedDict[Hashable, _Kind] = OrderedDict()

    def admit(self, kind: Hashable, line: Mapping[str, Any], now: float) -> bool:
        """Whether to log this line; counts it if not."""
        found = self._kinds.get(kind)
        if found is None or (not found.held and now - found.begun >= INTERVAL_SECONDS):
            found = self._kinds[kind] = _Kind(now)
            self._forget_oldest()
        self._kinds.move_to_end(kind)
        if found.allowance > 0:
            found.allowance -= 1
            return True
        found.held += 1
        found.last = line
        return False

    def due(self, now: float, *, everything: bool = False) -> list[Repeated]:
        """The summaries of the lines held back whose interval is over (or of all, at the end)."""
        due = []
        for kind, found in list(self._kinds.items()):
            seconds = now - found.begun
            if seconds < INTERVAL_SECONDS and not everything:
                continue
            if found.held:
                due.append(Repeated(times=found.held, seconds=seconds, last=found.last))
                self._kinds[kind] = _Kind(now, allowance=0)
            else:
                del self._kinds[kind]
        return due

    def _forget_oldest(self) -> None:
        while len(self._kinds) > MOST_KINDS:
            self._kinds.popitem(last=False)
