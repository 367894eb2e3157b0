"""A camera that switches to infrared at dusk, and back at dawn, forty minutes earlier or later from day to day."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.streams import DAY
from benchmarks.drift.worlds.world import FEATURES, World, hour

SWITCHED = 10
SWING = 40 / 60


class Infrared(World):
    """Ten features jump by two to five sigma at a switch; each day's two moments are drawn anew."""

    def draw(self) -> None:
        """By how much each feature jumps, and this camera's own days."""
        self.jump = self.random.choice([-1.0, 1.0], SWITCHED) * self.random.uniform(2.0, 5.0, SWITCHED)
        self.days = int(self.random.integers(1 << 31))

    def level(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """See the class."""
        out = np.zeros((minutes.size, FEATURES))
        for day in np.unique(minutes // DAY):
            rise, fall = np.random.default_rng([self.days, int(day)]).uniform(-SWING, SWING, 2)
            at = np.flatnonzero(minutes // DAY == day)
            light = (hour(minutes[at]) >= 6.5 + rise) & (hour(minutes[at]) < 18.5 + fall)
            out[at, :SWITCHED] = light[:, None] * self.jump
        return out
