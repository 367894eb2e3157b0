"""Skewed, clipped and quantised values, and counts that are 0 at night."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.worlds.world import World, counted, daylight


class Skewed(World):
    """Eight skewed features, four clipped to a tenth, four quantised, eight counts that follow the day."""

    def form(self, latent: NDArray[np.float32], minutes: NDArray[np.float64]) -> NDArray[np.float32]:
        """See the class."""
        out = np.empty_like(latent)
        out[..., :8] = np.exp(0.8 * latent[..., :8])
        out[..., 8:12] = np.clip(0.1 * (latent[..., 8:12] - 1.0), 0.0, 0.1)
        out[..., 12:16] = np.rint(1.5 * latent[..., 12:16])
        out[..., 16:] = counted(latent[..., 16:], 4.0 * daylight(minutes))
        return out
