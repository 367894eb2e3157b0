"""The drift alarm of one camera: one drift is one alarm.

    off ── ratio >= 1 ──▶ on        what changed (a direction in evidence) and by how much is noted
    on  ── the change noted has shrunk below half for CALM windows ──▶ off, and the evidence begins anew

That a score falls back below its limit does not end the alarm: filters that subtract what was seen before forget
a change that lasts, while the change itself is still there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.drift.memory import KEEP, TIMES

CALM = 15
"""Windows for which the change must have been gone."""

_GONE = 0.5
_SHORTEST = 16  # windows over which a change is measured at least: one minute alone is too rough


@dataclass(slots=True, eq=False)
class Alarm:
    """The state: `since` is None while off. `level` (3, F) is the change noted; how much of it is still there is
    measured at time constant `place`, `age` windows after it began.

    Where distances or the class mix raised the alarm, `level` is empty and `ratio` is what they reached.
    """

    since: float | None = None
    place: int = 0
    level: NDArray[np.float64] | None = None
    ratio: float = 0.0
    calm: int = 0
    age: int = 0

    def raise_by_change(
        self, now: float, memory: NDArray[np.float64], changed: NDArray[np.bool_], age: int
    ) -> None:
        """Go on because evidence changed in `changed` (3, F) over the last `age` windows."""
        self.since, self.calm = now, 0
        self.age = age = max(age, 1)
        self.place = int(np.searchsorted(TIMES, min(max(age, _SHORTEST), TIMES[-1])))
        # How much it changed is read off the shortest memory that spans it: where the change is older than the age
        # at which it shows best, a longer one would be scaled up too far, and what lasts would seem to shrink.
        lately = int(np.searchsorted(TIMES, age, side="right")) - 1
        self.level = np.where(changed, memory[..., lately] / (1.0 - KEEP[lately] ** age), 0.0)

    def raise_by_distance(self, now: float, ratio: float) -> None:
        """Go on because a distribution or the class mix is over its limit, at `ratio` times it."""
        self.since, self.calm, self.level, self.ratio = now, 0, None, ratio

    def watch(self, memory: NDArray[np.float64], distance_ratio: float) -> bool:
        """One more window while on; True when the alarm has just gone off."""
        self.age += 1
        self.calm = self.calm + 1 if self._present(memory, distance_ratio) < _GONE else 0
        if self.calm < CALM:
            return False
        self.since, self.level, self.calm = None, None, 0
        return True

    def _present(self, memory: NDArray[np.float64], distance_ratio: float) -> float:
        """How much of the change is still there: 1 all of it, 0 nothing."""
        if self.level is None:
            return distance_ratio / self.ratio if self.ratio else 0.0
        shown = 1.0 - KEEP[self.place] ** self.age  # of a change that lasts, so far
        return float(
            (memory[..., self.place] * self.level).sum() / max(shown * float((self.level**2).sum()), 1e-12)
        )
