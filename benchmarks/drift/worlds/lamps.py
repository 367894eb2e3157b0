"""Street lamps: picture features jump when lamps go on at dusk and off at dawn, each day at another minute."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.streams import DAY
from benchmarks.drift.worlds.world import FEATURES, World

TOUCHED, SIGMA = 7, 5.0
DUSK, DAWN, SCATTER = 17.6, 6.3, 25.0 / 60
"""Hours (UTC); the scatter is that of clouds on a twilight switch."""


class Lamps(World):
    """Seven features are off by up to five sigma under lamps; a lamp in ten nights flickers for an hour."""

    def draw(self) -> None:
        """Signs and sizes of what lamps change."""
        self.size = SIGMA * self.random.uniform(-1, 1, TOUCHED)
        self.days = np.random.default_rng(self.random.integers(1 << 32))
        self.known: dict[int, tuple[float, float, float]] = {}

    def _day(self, day: int) -> tuple[float, float, float]:
        if day not in self.known:
            off, on = (
                DAWN + SCATTER * self.days.standard_normal(),
                DUSK + SCATTER * self.days.standard_normal(),
            )
            flicker = self.days.uniform(19, 23) if self.days.random() < 0.1 else np.inf
            self.known[day] = off, on, flicker
        return self.known[day]

    def level(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """See the class."""
        out = np.zeros((minutes.size, FEATURES))
        for place, minute in enumerate(minutes):
            off, on, flicker = self._day(int(minute // DAY))
            at = (minute % DAY) / 3600.0
            lit = at < off or at >= on
            if flicker <= at < flicker + 1:
                lit = (minute // 60) % 3 > 0
            out[place, :TOUCHED] = self.size * lit
        return out
