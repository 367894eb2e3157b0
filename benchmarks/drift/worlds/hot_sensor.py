"""A sensor whose noise grows with its temperature: the day's warmth, and weather that lasts for days."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.worlds.world import World, hour, wandering

NOISY, DIM = 6, 4
WEATHER_MINUTES = 3 * 1440.0


class HotSensor(World):
    """Six features scatter by e to a third of the temperature's deviation, four fall a little with it."""

    def draw(self) -> None:
        """The weather at first."""
        self.weather = self.random.standard_normal(1)

    def form(self, latent: NDArray[np.float32], minutes: NDArray[np.float64]) -> NDArray[np.float32]:
        """See the class."""
        path = wandering(self.random, self.weather, minutes.size, WEATHER_MINUTES)
        self.weather = path[-1]
        warm = np.sin(2 * np.pi * (hour(minutes) - 9) / 24) + 0.6 * path[:, 0]
        changed = latent.copy()
        changed[..., :NOISY] *= np.exp(warm / 3.0)[:, None, None].astype(np.float32)
        changed[..., NOISY : NOISY + DIM] -= 0.4 * warm[:, None, None].astype(np.float32)
        return super().form(changed, minutes)
