"""A church: full on Sunday mornings, a choir on Thursday evenings, a wedding on some Saturdays, else empty."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.streams import DAY
from benchmarks.drift.worlds.world import FEATURES, World, counted, hour

COUNTS, LIT, SIGMA = 6, 8, 2.0
SERVICE, CHOIR, WEDDING = (6, 9.5, 11.2, 14.0), (3, 19.0, 21.0, 6.0), (5, 13.5, 15.5, 12.0)
LIKELY = 0.3


class Church(World):
    """Six counts of up to fourteen while people are there, and eight features off by up to two sigma as lamps burn."""

    def draw(self) -> None:
        """How each feature follows the lamps, and this parish's weddings."""
        self.follows = self.random.choice([-1.0, 1.0], LIT) * self.random.uniform(0.4, 1.0, LIT)
        self.weddings = int(self.random.integers(1 << 31))

    def level(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """See the class."""
        out = np.zeros((minutes.size, FEATURES))
        out[:, :LIT] = SIGMA * (self._people(minutes) > 0)[:, None] * self.follows
        return out

    def form(self, latent: NDArray[np.float32], minutes: NDArray[np.float64]) -> NDArray[np.float32]:
        """See the class."""
        out = super().form(latent, minutes)
        out[..., -COUNTS:] = counted(latent[..., -COUNTS:], 0.02 + self._people(minutes))
        return out

    def _people(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """How many are there, (M,)."""
        at, day, out = hour(minutes), minutes // DAY, np.zeros(minutes.size)
        weds = np.array(
            [np.random.default_rng([self.weddings, int(each)]).random() < LIKELY for each in day.tolist()]
        )
        for weekday, begin, end, many in (SERVICE, CHOIR, WEDDING):
            there = ((day + 3) % 7 == weekday) & (at >= begin) & (at < end)
            out += np.where(there & (weds if weekday == WEDDING[0] else True), many, 0.0)
        return out
