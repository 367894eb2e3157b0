"""A box that samples less when it is warm: fewer frames a minute in the afternoons, and any number for some days."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.streams import DAY
from benchmarks.drift.worlds.skewed import Skewed
from benchmarks.drift.worlds.world import hour

LEAST = 0.3


class ChangingSampling(Skewed):
    """The skewed world; from noon to 18 h of every other day, and all day of every fifth, a part of the samples."""

    def draw(self) -> None:
        """This camera's own days."""
        self.days = int(self.random.integers(1 << 31))

    def sampled(self, minutes: NDArray[np.float64]) -> NDArray[np.int64]:
        """See the class."""
        out = super().sampled(minutes)
        for day in np.unique(minutes // DAY):
            random = np.random.default_rng([self.days, int(day)])
            warm, fewer = random.random() < 0.5, random.random() < 0.2
            at = (minutes // DAY == day) & (fewer | (warm & (hour(minutes) >= 12) & (hour(minutes) < 18)))
            out[at] = round(self.per_minute * random.uniform(LEAST, 0.9))
        return out
