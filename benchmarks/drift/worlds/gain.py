"""A gain that wanders: for hours all noise is louder or quieter, by no clock."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.worlds.world import World, wandering

LOUDER, HOURS = 0.25, 3.0


class WanderingGain(World):
    """The scatter of all features is e to the 0.25 w of the usual, w a weather of three hours that all share."""

    def draw(self) -> None:
        """Where the weather begins."""
        self.weather = self.random.standard_normal(1)

    def form(self, latent: NDArray[np.float32], minutes: NDArray[np.float64]) -> NDArray[np.float32]:
        """See the class."""
        path = wandering(self.random, self.weather, minutes.size, 60.0 * HOURS)
        self.weather = path[-1]
        return super().form(latent * np.exp(LOUDER * path).astype(np.float32)[:, None], minutes)
