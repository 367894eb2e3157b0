"""A shop: open from Monday to Saturday, on Saturdays twice as busy, shut on Sundays with its lamps out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.streams import DAY
from benchmarks.drift.worlds.world import FEATURES, World, counted, hour

COUNTS, LIT, SIGMA = 5, 10, 2.5
OPEN, SHUT, PEAK = 9.0, 20.0, 17.0
SATURDAY, SUNDAY = 5, 6


class Shop(World):
    """Five counts of up to four (Saturdays eight), most late in the afternoon; ten features are off by up to two and a
    half sigma while the lamps burn."""

    def draw(self) -> None:
        """How each feature follows the lamps."""
        self.follows = self.random.choice([-1.0, 1.0], LIT) * self.random.uniform(0.4, 1.0, LIT)

    def level(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """See the class."""
        out = np.zeros((minutes.size, FEATURES))
        out[:, :LIT] = SIGMA * self._open(minutes, 0.5)[:, None] * self.follows
        return out

    def form(self, latent: NDArray[np.float32], minutes: NDArray[np.float64]) -> NDArray[np.float32]:
        """See the class."""
        out = super().form(latent, minutes)
        busy = 4.0 * np.exp(-(((hour(minutes) - PEAK) / 4.0) ** 2))
        busy = busy * np.where((minutes // DAY + 3) % 7 == SATURDAY, 2.0, 1.0) * self._open(minutes, 0.0)
        out[..., -COUNTS:] = counted(latent[..., -COUNTS:], busy)
        return out

    @staticmethod
    def _open(minutes: NDArray[np.float64], around: float) -> NDArray[np.float64]:
        """1 while it is open, and so many hours before and after."""
        at = hour(minutes)
        shut = (minutes // DAY + 3) % 7 == SUNDAY
        return np.where(shut, 0.0, ((at >= OPEN - around) & (at < SHUT + around)).astype(float))
