"""Events that come and go: lorries before the lens, rain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.streams import DAY
from benchmarks.drift.worlds.world import FEATURES, World

A_DAY = 11 / 15


class Lorries(World):
    """Eight features are off by three to five sigma for ten minutes, eleven times in fifteen days, between 6 and 20 h."""

    touched, lowest, highest, lasts = 8, 3.0, 5.0, 10.0
    hours = (6.0, 20.0)

    def draw(self) -> None:
        """What an event does to each feature, and this camera's own days."""
        size = self.random.uniform(self.lowest, self.highest, self.touched)
        self.push = self.random.choice([-1.0, 1.0], self.touched) * size
        self.days = int(self.random.integers(1 << 31))

    def level(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """See the class."""
        out = np.zeros((minutes.size, FEATURES))
        for day in np.unique(minutes // DAY):
            random = np.random.default_rng([self.days, int(day)])
            for _ in range(random.poisson(A_DAY)):
                began = day * DAY + 3600 * random.uniform(*self.hours)
                lasts = 60 * self.lasts * random.uniform(0.7, 1.3)
                strength = random.uniform(0.8, 1.2)
                inside = (minutes >= began) & (minutes < began + lasts)
                out[inside, : self.touched] = strength * self.push
        return out


class Rain(Lorries):
    """Twelve features are off by one to two sigma for two hours, at any time of the day."""

    touched, lowest, highest, lasts = 12, 1.0, 2.0, 120.0
    hours = (0.0, 22.0)
