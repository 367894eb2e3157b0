"""An auto-exposure that hunts: for minutes it swings about what it looks for, and with it what hangs on brightness."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.streams import DAY
from benchmarks.drift.worlds.world import FEATURES, World

HUNTED = 6
A_DAY, LASTS, SWING_MINUTES, SIGMA = 12, 20.0, 4.0, 1.5


class ExposureHunting(World):
    """Six features swing by one and a half sigma every four minutes, for twenty minutes, twelve times a day."""

    def draw(self) -> None:
        """How far each feature goes along, and this camera's own days."""
        self.follows = self.random.choice([-1.0, 1.0], HUNTED) * self.random.uniform(0.5, 1.5, HUNTED)
        self.days = int(self.random.integers(1 << 31))

    def level(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """See the class."""
        out = np.zeros((minutes.size, FEATURES))
        for day in np.unique(minutes // DAY):
            random = np.random.default_rng([self.days, int(day)])
            for _ in range(random.poisson(A_DAY)):
                into = (minutes - day * DAY - DAY * random.random()) / 60.0
                inside = (into >= 0) & (into < LASTS * random.uniform(0.5, 1.5))
                swing = SIGMA * np.sin(2 * np.pi * into[inside] / SWING_MINUTES)
                out[inside, :HUNTED] = swing[:, None] * self.follows
        return out
