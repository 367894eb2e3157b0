"""Weather fronts: a clear spell and an overcast one by turns, a day or two each; rain comes first, and the ground dries."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.worlds.world import FEATURES, World, daylight

LIT, WET, SIGMA = 10, 4, 1.5
SPELL_MINUTES, RAIN_MINUTES = 36 * 60.0, 6 * 60.0
CLEARS, WETS, DRIES = 20.0, 10.0, 180.0
"""Time constants in minutes."""


class Fronts(World):
    """By day ten features move by 1 to 1.5 sigma from overcast to clear; four others by one sigma on wet ground."""

    def draw(self) -> None:
        """How each feature follows the day, the sun and the rain; a spell begins."""
        self.day = self.random.uniform(-1.0, 1.0, LIT)
        self.sun = self.random.choice([-1.0, 1.0], LIT) * self.random.uniform(1.0, SIGMA, LIT)
        self.rain = self.random.choice([-1.0, 1.0], WET)
        self.clear = bool(self.random.random() < 0.5)
        self.left = self.rains = 0.0
        self.cleared, self.wet = float(self.clear), 0.0

    def level(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """See the class."""
        cleared, wet = np.array([self._minute() for _ in minutes]).T[:, :, None]
        out = np.zeros((minutes.size, FEATURES))
        out[:, :LIT] = np.sqrt(daylight(minutes))[:, None] * (self.day + cleared * self.sun)
        out[:, LIT : LIT + WET] = wet * self.rain
        return out

    def _minute(self) -> tuple[float, float]:
        """How clear the sky and how wet the ground is in the next minute, 0 to 1."""
        if self.left <= 0:
            self.clear = not self.clear
            self.left = self.random.gamma(3.0, SPELL_MINUTES / 3)
            self.rains = 0.0 if self.clear else self.random.gamma(2.0, RAIN_MINUTES / 2)
        self.left, self.rains = self.left - 1, self.rains - 1
        self.cleared += (self.clear - self.cleared) / CLEARS
        self.wet += (1 - self.wet) / WETS if self.rains > 0 else -self.wet / DRIES
        return self.cleared, self.wet
