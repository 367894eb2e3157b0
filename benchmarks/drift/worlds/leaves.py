"""A tree that loses its leaves: the picture changes a little every day for two months."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.streams import DAY
from benchmarks.drift.worlds.world import FEATURES, FIRST_DAY, World

TOUCHED = 6
SIGMA, DAYS = 2.0, 60.0


class Leaves(World):
    """Six features move by two sigma in sixty days: what a reference that does not grow old has to call a drift."""

    def draw(self) -> None:
        """Which way each feature goes."""
        self.sign = self.random.choice([-1.0, 1.0], TOUCHED)

    def level(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """See the class."""
        out = np.zeros((minutes.size, FEATURES))
        fallen = np.clip((minutes - FIRST_DAY) / (DAYS * DAY), 0.0, 1.0)
        out[:, :TOUCHED] = SIGMA * fallen[:, None] * self.sign
        return out
