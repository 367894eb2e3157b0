"""A daily cycle of two sigma, and counts of which there are half as many at weekends."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.streams import DAY
from benchmarks.drift.worlds.world import FEATURES, World, counted, hour

COUNTS = 8


def weekend(minutes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Saturdays and Sundays (UTC)."""
    return (minutes // DAY + 3) % 7 >= 5


class Weekends(World):
    """Sixteen features with a cycle of their own, eight counts of 1 to 5 that weekends halve."""

    def draw(self) -> None:
        """The phases of the cycles."""
        self.phase = 2 * np.pi * self.random.random(FEATURES)

    def level(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """See the class."""
        turn = 2 * np.pi * hour(minutes)[:, None] / 24 + self.phase
        return np.where(np.arange(FEATURES) < FEATURES - COUNTS, 2.0 * np.sin(turn), 0.0)

    def form(self, latent: NDArray[np.float32], minutes: NDArray[np.float64]) -> NDArray[np.float32]:
        """See the class."""
        out = super().form(latent, minutes)
        mean = 3.0 - 2.0 * np.cos(2 * np.pi * (hour(minutes) - 2) / 24)
        out[..., -COUNTS:] = counted(latent[..., -COUNTS:], mean * np.where(weekend(minutes), 0.5, 1.0))
        return out
