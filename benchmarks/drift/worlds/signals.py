"""Traffic lights: all that moves comes in waves of 70 seconds, which beat with windows of a minute."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.worlds.world import MINUTE, World, daylight

WAVES, SIGMA, SECONDS = 10, 2.0, 70.0


class Signals(World):
    """Ten features are off by up to two sigma for half of each wave, as much as the day is busy."""

    def form(self, latent: NDArray[np.float32], minutes: NDArray[np.float64]) -> NDArray[np.float32]:
        """See the class."""
        within = MINUTE * np.arange(latent.shape[1]) / latent.shape[1]
        green = ((minutes[:, None] + within) % SECONDS) < SECONDS / 2
        wave = (SIGMA * daylight(minutes)[:, None] * green).astype(np.float32)
        moved = latent.copy()
        moved[..., :WAVES] += wave[..., None]
        return super().form(moved, minutes)
