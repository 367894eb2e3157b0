"""A depot by night: lorries are loaded from ten in the evening to six, Monday to Thursday, over midnight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.streams import DAY
from benchmarks.drift.worlds.world import FEATURES, World, counted, hour

COUNTS, LIT, SIGMA = 4, 7, 1.6
BEGIN, END, LAST = 22.0, 6.0, 3  # from Monday (0) to Thursday


class NightShift(World):
    """While it is loaded four counts are five instead of nearly none, and seven features are off by up to 1.6 sigma, as
    flood lights burn; some nights end an hour and more before six."""

    def draw(self) -> None:
        """How each feature follows the lights, and this depot's own nights."""
        self.follows = self.random.choice([-1.0, 1.0], LIT) * self.random.uniform(0.4, 1.0, LIT)
        self.nights = int(self.random.integers(1 << 31))

    def level(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """See the class."""
        out = np.zeros((minutes.size, FEATURES))
        out[:, :LIT] = SIGMA * self._loading(minutes)[:, None] * self.follows
        return out

    def form(self, latent: NDArray[np.float32], minutes: NDArray[np.float64]) -> NDArray[np.float32]:
        """See the class."""
        out = super().form(latent, minutes)
        out[..., -COUNTS:] = counted(latent[..., -COUNTS:], 0.05 + 5.0 * self._loading(minutes))
        return out

    def _loading(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """1 while it is loaded, else 0, (M,)."""
        evening = (minutes - END * 3600.0) // DAY  # the day on whose evening the night begins
        early = np.array(
            [np.random.default_rng([self.nights, int(day)]).exponential(0.6) for day in evening.tolist()]
        )
        at = (hour(minutes) - BEGIN) % 24.0
        return (((evening + 3) % 7 <= LAST) & (at < 8.0 - early)).astype(np.float64)
