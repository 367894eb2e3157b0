"""The sun rises two minutes earlier and sets two minutes later each day."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.streams import DAY
from benchmarks.drift.worlds.world import FEATURES, FIRST_DAY, World, hour

LIT = 8
SIGMA = 4.0
MINUTES_A_DAY = 2.0
DAWN_HOURS = 0.5


class Sunrise(World):
    """Eight features go up by four sigma at dawn and down at dusk; dawn takes about two hours."""

    def draw(self) -> None:
        """Which way each feature goes."""
        self.sign = self.random.choice([-1.0, 1.0], LIT)

    def level(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """See the class."""
        days = (minutes - FIRST_DAY) / DAY
        rise, fall = 7.0 - MINUTES_A_DAY / 60 * days, 17.0 + MINUTES_A_DAY / 60 * days
        at = hour(minutes)
        light = 1 / (1 + np.exp(-(at - rise) / (DAWN_HOURS / 2))) - 1 / (
            1 + np.exp(-(at - fall) / (DAWN_HOURS / 2))
        )
        out = np.zeros((minutes.size, FEATURES))
        out[:, :LIT] = SIGMA * light[:, None] * self.sign
        return out
