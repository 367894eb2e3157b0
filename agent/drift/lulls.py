"""Lulls: how a change came and went while its alarm was on, so that the next time it seems gone is no end yet.

Objects that are new come and go: for minutes there is little of them, and to noise as the reference has it they are
gone. At each age E the change over the last E windows is held against that over the last 4 E. The mean square of the
difference while the alarm is on is the noise of the change itself. A lull counts once it is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core.arrays import array, numbers
from agent.drift.memory import AGES

_LONGER = 4
"""Times the age: a change that grows differs little from its own mean so far back, a lull is all but gone in it."""

_LEFT = 0.5
"""Of the change: with less it is in a lull, and out of it with more."""

_PLACES = np.minimum(np.searchsorted(AGES, _LONGER * AGES), AGES.size - 1)


@dataclass(slots=True, eq=False)
class Lulls:
    """Sums of `squares` over so many `windows`, and those of a lull under way, which wait; each by age (J,)."""

    squares: NDArray[np.float64] = field(default_factory=lambda: np.zeros(AGES.size))
    windows: NDArray[np.float64] = field(default_factory=lambda: np.zeros(AGES.size))
    waiting: NDArray[np.float64] = field(default_factory=lambda: np.zeros((2, AGES.size)))

    def add(self, shares: NDArray[np.float64], sizes: NDArray[np.float64]) -> None:
        """One more window: how far the change is off in `shares` (J,) of it, -1 where it is gone, and the square of the
        score of all of it, `sizes` (J,)."""
        waiting = self.waiting + np.stack([(shares - shares[_PLACES]) ** 2 * sizes, np.ones(AGES.size)])
        self._count(waiting, shares > -_LEFT)

    def over(self) -> None:
        """The change that seemed gone is back: what seemed its end was a lull."""
        self._count(self.waiting, np.ones(AGES.size, dtype=np.bool_))

    def _count(self, waiting: NDArray[np.float64], back: NDArray[np.bool_]) -> None:
        squares, windows = np.where(back, waiting, 0.0)
        self.squares, self.windows = self.squares + squares, self.windows + windows
        self.waiting = np.where(back, 0.0, waiting)

    @property
    def noise(self) -> NDArray[np.float64]:
        """The variance of its score by age, (J,), beside 1 by chance; drawn towards none where there are few looks."""
        return np.asarray(self.squares / (self.windows + _LONGER * AGES), dtype=np.float64)

    def state(self) -> str:
        """As a JSON value."""
        return numbers(np.vstack([self.squares, self.windows, self.waiting]))

    @classmethod
    def restore(cls, state: Mapping[str, Any], name: str) -> Lulls:
        """What `state` gave, at `name` of an object; BadInput for anything else."""
        squares, windows, *waiting = array(state, name, (4, AGES.size), low=0.0)
        return cls(squares, windows, np.array(waiting))
