"""A gate that stands open or shut: by day for minutes each, by night shut; what is behind it is seen, or is not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.streams import DAY
from benchmarks.drift.worlds.world import FEATURES, World

TOUCHED, SIGMA = 9, 3.0
OPEN_MINUTES, SHUT_MINUTES = 6.0, 18.0


class Gate(World):
    """Nine features are off by up to three sigma while the gate is open, which it is a quarter of a working day."""

    def draw(self) -> None:
        """It is shut."""
        self.size = SIGMA * self.random.uniform(-1, 1, TOUCHED)
        self.open = False

    def level(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """See the class."""
        out = np.zeros((minutes.size, FEATURES))
        for place, minute in enumerate(minutes):
            at, weekend = (minute % DAY) / 3600.0, (minute // DAY + 3) % 7 >= 5
            if not 7 <= at < 19 or weekend:
                self.open = False
            elif self.random.random() < 1 / (OPEN_MINUTES if self.open else SHUT_MINUTES):
                self.open = not self.open
            out[place, :TOUCHED] = self.size * self.open
        return out
