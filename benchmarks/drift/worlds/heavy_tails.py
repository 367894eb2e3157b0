"""Heavy tails: values of which one in some hundreds is far out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.worlds.world import World

DEGREES = 2.5
TAILED = 12


class HeavyTails(World):
    """Twelve features of Student's t with two and a half degrees of freedom (by an approximation of its quantiles)."""

    def form(self, latent: NDArray[np.float32], minutes: NDArray[np.float64]) -> NDArray[np.float32]:
        """See the class."""
        out = super().form(latent, minutes)
        # Hill's expansion to its first order: exact enough that tails fall with the power wanted.
        z = latent[..., :TAILED]
        out[..., :TAILED] = 10.0 * np.sign(z) * np.sqrt(DEGREES * np.expm1(z**2 / DEGREES))
        return out
