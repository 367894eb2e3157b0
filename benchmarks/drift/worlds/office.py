"""An office: people come on weekdays alone, at ten to nine, and on weekends nobody does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.streams import DAY
from benchmarks.drift.worlds.weekends import weekend
from benchmarks.drift.worlds.world import FEATURES, World, counted, hour

COUNTS, MOVED = 6, 6
MOST = 8.0


class Office(World):
    """Six counts of up to eight from 9 to 18 h on weekdays, and six features that go by two sigma with them."""

    def level(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """See the class."""
        out = np.zeros((minutes.size, FEATURES))
        out[:, :MOVED] = 2.0 * self._busy(minutes)[:, None]
        return out

    def form(self, latent: NDArray[np.float32], minutes: NDArray[np.float64]) -> NDArray[np.float32]:
        """See the class."""
        out = super().form(latent, minutes)
        out[..., -COUNTS:] = counted(latent[..., -COUNTS:], 0.05 + MOST * self._busy(minutes))
        return out

    @staticmethod
    def _busy(minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        late = np.sin(2.0 * np.pi * (minutes // DAY) * 0.618)  # a quarter of an hour from day to day
        at = hour(minutes) - 0.25 * late
        day = 1 / (1 + np.exp(-(at - 8.8) / 0.1)) - 1 / (1 + np.exp(-(at - 17.8) / 0.2))
        return np.where(weekend(minutes), 0.0, day)
