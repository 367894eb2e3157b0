"""A camera on a tall mast that sways in the wind: for hours to a day, every few days, by day more than by night."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.worlds.world import FEATURES, World, daylight, wandering

SHAKEN, BLURRED, SIGMA, BLUR = 8, 2, 0.5, 0.5
HERTZ = 0.4
"""What a steel mast of 25 m swings at."""

WIND_MINUTES, GUST_MINUTES, GUSTS = 960.0, 1.0, 0.35


class Mast(World):
    """Eight features swing together at 0.4 Hz, by half a sigma on average and by two or three in a storm; two others lose sharpness."""

    def draw(self) -> None:
        """How each feature follows the mast, and what wind there is."""
        self.follows = self.random.choice([-1.0, 1.0], SHAKEN) * self.random.uniform(0.5, 1.0, SHAKEN)
        self.wind, self.gust = self.random.standard_normal(2), self.random.standard_normal(1)

    def level(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """See the class."""
        self.sway = self._sway(minutes)
        out = np.zeros((minutes.size, FEATURES))
        out[:, SHAKEN : SHAKEN + BLURRED] = -BLUR * self.sway[:, None]
        return out

    def form(self, latent: NDArray[np.float32], minutes: NDArray[np.float64]) -> NDArray[np.float32]:
        """See the class."""
        seconds = minutes[:, None] + np.arange(latent.shape[1]) / self.rate
        swing = self.sway[:, None] * np.sin(2 * np.pi * HERTZ * seconds)
        swung = latent.copy()
        swung[..., :SHAKEN] += swing[..., None] * self.follows
        return super().form(swung, minutes)

    def _sway(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far the mast swings, (M,): as the square of a wind whose two components are normal, times gusts."""
        wind = wandering(self.random, self.wind, minutes.size, WIND_MINUTES)
        gust = wandering(self.random, self.gust, minutes.size, GUST_MINUTES)
        self.wind, self.gust = wind[-1], gust[-1]
        return SIGMA * (0.8 + 0.6 * daylight(minutes)) * (wind**2).mean(axis=1) * np.exp(GUSTS * gust[:, 0])
