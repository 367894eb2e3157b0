"""A camera that is down for hours, by no clock: a weak network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.streams import DAY
from benchmarks.drift.worlds.weekends import Weekends

A_DAY = 1.5


class MissingHours(Weekends):
    """The world of weekends; one and a half times a day nothing comes for some minutes to eight hours."""

    def draw(self) -> None:
        """This camera's own days."""
        super().draw()
        self.days = int(self.random.integers(1 << 31))

    def sampled(self, minutes: NDArray[np.float64]) -> NDArray[np.int64]:
        """See the class."""
        out = super().sampled(minutes)
        for day in np.unique(minutes // DAY):
            random = np.random.default_rng([self.days, int(day)])
            for _ in range(random.poisson(A_DAY)):
                began = DAY * (day + random.random())
                out[(minutes >= began) & (minutes < began + 60 * np.exp(random.uniform(1.0, 6.2)))] = 0
        return out
