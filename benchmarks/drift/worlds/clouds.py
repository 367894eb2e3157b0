"""Days of broken clouds: sun and shade by turns, every few minutes, on two days in five."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.streams import DAY
from benchmarks.drift.worlds.world import FEATURES, World, hour

TOUCHED, SIGMA, LIKELY, MINUTES = 10, 2.0, 0.4, 3.0


class BrokenClouds(World):
    """From 8 to 17 h ten features jump by up to two sigma between sun and shade, for three minutes at a time on average."""

    def draw(self) -> None:
        """How each feature follows the light, and this camera's own days."""
        self.follows = self.random.choice([-1.0, 1.0], TOUCHED) * self.random.uniform(0.5, 1.0, TOUCHED)
        self.days = int(self.random.integers(1 << 31))

    def level(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """See the class."""
        out = np.zeros((minutes.size, FEATURES))
        for day in np.unique(minutes // DAY):
            random = np.random.default_rng([self.days, int(day)])
            if random.random() >= LIKELY:
                continue
            shade = np.cumsum(random.random(1440) < 1.0 / MINUTES) % 2
            at = np.flatnonzero((minutes // DAY == day) & (hour(minutes) >= 8) & (hour(minutes) < 17))
            now = shade[((minutes[at] % DAY) // 60).astype(int)]
            out[at, :TOUCHED] = SIGMA * now[:, None] * self.follows
        return out
