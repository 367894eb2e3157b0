"""A mill that runs day and night from Monday to Friday and stands still at weekends: no hour of the day tells it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.worlds.weekends import weekend
from benchmarks.drift.worlds.world import FEATURES, World, counted, wandering

COUNTS, SHAKEN, LOADED = 4, 6, 4
SIGMA, LOUDER, LOAD_MINUTES = 1.8, 1.7, 90.0


class Mill(World):
    """While it runs six features scatter 1.7 times as much, four are up by 1.8 sigma and follow its load, which wanders
    over an hour and a half, and four counts are three instead of none."""

    def draw(self) -> None:
        """The load at first."""
        self.load = self.random.standard_normal(1)

    def level(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """See the class."""
        path = wandering(self.random, self.load, minutes.size, LOAD_MINUTES)
        self.load = path[-1]
        out = np.zeros((minutes.size, FEATURES))
        out[:, SHAKEN : SHAKEN + LOADED] = (SIGMA + 0.4 * path) * ~weekend(minutes)[:, None]
        return out

    def form(self, latent: NDArray[np.float32], minutes: NDArray[np.float64]) -> NDArray[np.float32]:
        """See the class."""
        runs = ~weekend(minutes)
        latent = latent.copy()
        latent[runs, :, :SHAKEN] *= LOUDER
        out = super().form(latent, minutes)
        out[..., -COUNTS:] = counted(latent[..., -COUNTS:], 0.03 + 3.0 * runs.astype(np.float64))
        return out
