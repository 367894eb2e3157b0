"""Weather that half the features share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.worlds.world import FEATURES, World, wandering

SHARED_BY = 12
SIGMA = 0.7


class Weather2h(World):
    """Twelve features follow one weather of two hours, each with a sign and a strength of its own."""

    minutes = 120.0

    def draw(self) -> None:
        """How each feature follows the weather."""
        self.follows = np.zeros(FEATURES)
        self.follows[:SHARED_BY] = self.random.choice([-1.0, 1.0], SHARED_BY) * self.random.uniform(
            0.5, 1.5, SHARED_BY
        )
        self.weather = self.random.standard_normal(1)

    def level(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """See the class."""
        path = wandering(self.random, self.weather, minutes.size, self.minutes)
        self.weather = path[-1]
        return SIGMA * path * self.follows


class Weather12h(Weather2h):
    """The same, with a weather of twelve hours."""

    minutes = 720.0
