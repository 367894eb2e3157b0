"""A harbour: the water comes and goes, fifty minutes later each day, higher at new and full moon."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.worlds.world import FEATURES, World

TOUCHED, SIGMA = 8, 1.5
MOON_HOURS, SUN_HOURS = 12.4206, 12.0


class Tide(World):
    """Eight features follow a tide of one and a half sigma, 0.46 times as much of it the sun's."""

    def draw(self) -> None:
        """How each feature follows the water, and where the moon stands."""
        self.follows = self.random.choice([-1.0, 1.0], TOUCHED) * self.random.uniform(0.5, 1.0, TOUCHED)
        self.phase = 2 * np.pi * self.random.random(2)

    def level(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """See the class."""
        turns = 2 * np.pi * minutes / 3600.0
        water = np.cos(turns / MOON_HOURS + self.phase[0]) + 0.46 * np.cos(turns / SUN_HOURS + self.phase[1])
        out = np.zeros((minutes.size, FEATURES))
        out[:, :TOUCHED] = SIGMA * water[:, None] * self.follows
        return out
