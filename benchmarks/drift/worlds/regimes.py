"""A machine that runs or stands still, for as long as orders last: two regimes that alternate at no set time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.worlds.world import FEATURES, World

TOUCHED = 10
RUNS_MINUTES, STANDS_MINUTES = 150.0, 60.0


class Regimes(World):
    """Ten features jump by one to four sigma as it starts and stops; how long it runs and stands is log-normal."""

    def draw(self) -> None:
        """What running does to each feature."""
        self.jump = self.random.choice([-1.0, 1.0], TOUCHED) * self.random.uniform(1.0, 4.0, TOUCHED)
        self.runs, self.until = True, self.now

    def level(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """See the class."""
        out = np.zeros((minutes.size, FEATURES))
        for place, minute in enumerate(minutes):
            if minute >= self.until:
                self.runs = not self.runs
                lasts = (RUNS_MINUTES if self.runs else STANDS_MINUTES) * self.random.lognormal(0.0, 0.6)
                self.until = minute + 60.0 * lasts
            out[place, :TOUCHED] = self.jump * self.runs
        return out
