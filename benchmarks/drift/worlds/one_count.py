"""One count among 24 features that is 0 at night."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.worlds.world import World, counted, daylight


class OneCount(World):
    """The last feature is a Poisson count, up to 4 at noon and 0 from 18 to 6 h."""

    def form(self, latent: NDArray[np.float32], minutes: NDArray[np.float64]) -> NDArray[np.float32]:
        """See the class."""
        out = super().form(latent, minutes)
        out[..., -1:] = counted(latent[..., -1:], 4.0 * daylight(minutes))
        return out
