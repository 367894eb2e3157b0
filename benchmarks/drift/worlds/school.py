"""A school: a crowd at the bell, at breaks and at the end, on weekdays alone; cleaners come in the evening."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.worlds.weekends import weekend
from benchmarks.drift.worlds.world import FEATURES, World, counted, hour

COUNTS, MOVED, SIGMA = 7, 9, 1.5
BELLS = ((7.6, 0.4, 9.0), (9.5, 0.3, 6.0), (11.4, 0.3, 6.0), (13.1, 0.8, 5.0), (15.2, 0.4, 8.0))
LESSONS, CLEANERS = 0.8, 1.0


class School(World):
    """Seven counts: at five times of a school day up to nine, some minutes early or late, and one in between; nine
    features go by up to a sigma and a half with them, to either side."""

    def draw(self) -> None:
        """How each feature follows the crowd, and this school's own minutes."""
        self.follows = self.random.choice([-1.0, 1.0], MOVED) * self.random.uniform(0.5, 1.0, MOVED)
        self.days = int(self.random.integers(1 << 31))

    def level(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """See the class."""
        out = np.zeros((minutes.size, FEATURES))
        out[:, :MOVED] = SIGMA * np.tanh(self._people(minutes) / 3.0)[:, None] * self.follows
        return out

    def form(self, latent: NDArray[np.float32], minutes: NDArray[np.float64]) -> NDArray[np.float32]:
        """See the class."""
        out = super().form(latent, minutes)
        out[..., -COUNTS:] = counted(latent[..., -COUNTS:], self._people(minutes))
        return out

    def _people(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """How many are in view, (M,)."""
        at = hour(minutes)
        late = np.array(
            [np.random.default_rng([self.days, int(day)]).normal(0.0, 0.07) for day in minutes // 86400.0]
        )
        crowd = sum(most * np.exp(-(((at - late - bell) / long) ** 2)) for bell, long, most in BELLS)
        crowd = crowd + LESSONS * ((at > 7.6) & (at < 15.2)) + CLEANERS * ((at > 17.0) & (at < 19.0))
        return np.where(weekend(minutes), 0.03, crowd + 0.03)
