"""School holidays: for two weeks there is less of everything that people do, and it begins later."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.streams import DAY
from benchmarks.drift.worlds.weekends import COUNTS, Weekends
from benchmarks.drift.worlds.world import FIRST_DAY, counted, hour

BEGIN, END = FIRST_DAY + 14 * DAY, FIRST_DAY + 28 * DAY
LESS, LATER = 0.7, 1.0


class Holidays(Weekends):
    """The world of weekends; in the third and fourth week counts are 0.7 times as many, an hour later."""

    def form(self, latent: NDArray[np.float32], minutes: NDArray[np.float64]) -> NDArray[np.float32]:
        """See the class."""
        out = super().form(latent, minutes)
        free = (minutes >= BEGIN) & (minutes < END)
        if not free.any():
            return out
        mean = 3.0 - 2.0 * np.cos(2 * np.pi * (hour(minutes[free]) - LATER - 2) / 24)
        out[free, :, -COUNTS:] = counted(latent[free][..., -COUNTS:], LESS * mean)
        return out
