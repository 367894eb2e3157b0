"""A fruit packer's belt: six sorts in batches of 30 to 90 minutes, no two lots quite alike; at night and on Sundays it is still."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.streams import DAY
from benchmarks.drift.worlds.world import FEATURES, World, counted, hour

COUNTS, TOUCHED, LOT = 4, 6, 0.3
OFTEN = (0.30, 0.25, 0.18, 0.12, 0.09, 0.06)
"""How often each sort is packed: the rarest about five times a week."""

BEGINS, ENDS = 6.0, (22.0, 22.0, 22.0, 22.0, 22.0, 14.0, 6.0)
BATCH, CLEANED = (0.5, 1.5), (0.05, 0.13)


class Packing(World):
    """Six features by up to two sigma and four counts of four to nine go with the sort; between batches the belt is empty."""

    def draw(self) -> None:
        """What each sort and the empty belt look like, and this packer's orders."""
        self.sorts = self.random.uniform(-2.0, 2.0, (len(OFTEN), TOUCHED))
        self.many = self.random.uniform(4.0, 9.0, len(OFTEN))
        self.empty = self.random.choice([-2.5, 2.5], TOUCHED)
        self.days = int(self.random.integers(1 << 31))

    def level(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """See the class."""
        out, self.mean = np.zeros((minutes.size, FEATURES)), np.zeros(minutes.size)
        out[:, :TOUCHED] = self.empty
        for day in np.unique(minutes // DAY).tolist():
            random, at = np.random.default_rng([self.days, int(day)]), BEGINS
            while at < (ends := ENDS[int(day + 3) % 7]):
                until = min(at + random.uniform(*BATCH), ends)
                sort, lot = random.choice(len(OFTEN), p=OFTEN), random.normal(0.0, LOT, TOUCHED)
                packed = (minutes // DAY == day) & (hour(minutes) >= at) & (hour(minutes) < until)
                out[packed, :TOUCHED], self.mean[packed] = self.sorts[sort] + lot, self.many[sort]
                at = until + random.uniform(*CLEANED)
        return out

    def form(self, latent: NDArray[np.float32], minutes: NDArray[np.float64]) -> NDArray[np.float32]:
        """See the class."""
        out = super().form(latent, minutes)
        out[..., -COUNTS:] = counted(latent[..., -COUNTS:], self.mean)
        return out
