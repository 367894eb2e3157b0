"""A production line in three shifts: it stops now and then, stands in breaks, and half of it on Sundays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.streams import DAY
from benchmarks.drift.worlds.world import FEATURES, World, counted

TOUCHED, COUNTS, SIGMA = 6, 3, 2.5
BREAKS = (2.0, 6.0, 10.0, 14.0, 18.0, 22.0)
"""Hours (UTC) at which the line stands for a quarter of an hour; shifts change at 6, 14 and 22."""

STOPS_A_DAY, STOP_MINUTES = 7.0, 14.0


class Shifts(World):
    """Six features are off by 2.5 sigma while the line stands, and three counts are 0 then; stops last 14 minutes on average."""

    def draw(self) -> None:
        """The line runs."""
        self.signs = np.where(self.random.random(TOUCHED) < 0.5, -1.0, 1.0)
        self.left = 0.0
        self.stands: NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)

    def level(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """See the class."""
        self.stands = np.array([self._stands(minute) for minute in minutes], dtype=np.bool_)
        out = np.zeros((minutes.size, FEATURES))
        out[self.stands, :TOUCHED] = SIGMA * self.signs
        return out

    def _stands(self, minute: float) -> bool:
        at = (minute % DAY) / 3600.0
        sunday = (minute // DAY + 3) % 7 == 6
        if self.left <= 0 and self.random.random() < STOPS_A_DAY / 1440:
            self.left = self.random.exponential(STOP_MINUTES)
        self.left -= 1
        return self.left > 0 or any(0 <= at - begins < 0.25 for begins in BREAKS) or (sunday and at >= 14)

    def form(self, latent: NDArray[np.float32], minutes: NDArray[np.float64]) -> NDArray[np.float32]:
        """See the class."""
        out = super().form(latent, minutes)
        mean = np.where(self.stands, 0.0, 5.0)
        out[..., FEATURES - COUNTS :] = counted(latent[..., FEATURES - COUNTS :], mean)
        return out
