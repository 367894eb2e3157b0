"""A ferry: cars gather for half an hour and are gone at once, by another timetable at weekends, now and then late."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.worlds.weekends import weekend
from benchmarks.drift.worlds.world import FEATURES, World, counted, hour

COUNTS, MOVED, SIGMA, GATHER = 5, 6, 1.2, 0.5
WEEKDAYS, WEEKENDS = (6.0, 7.5, 9.0, 12.0, 15.0, 16.5, 18.0), (8.0, 11.0, 14.0, 17.0)
MOST = {False: 8.0, True: 14.0}


class Ferry(World):
    """Five counts grow to eight (weekends: fourteen) before each ferry, six features go with them by 1.2 sigma."""

    def draw(self) -> None:
        """How each feature follows the queue, and this harbour's own delays."""
        self.follows = self.random.choice([-1.0, 1.0], MOVED) * self.random.uniform(0.5, 1.0, MOVED)
        self.days = int(self.random.integers(1 << 31))

    def level(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """See the class."""
        out = np.zeros((minutes.size, FEATURES))
        out[:, :MOVED] = SIGMA * np.tanh(self._waiting(minutes) / 6.0)[:, None] * self.follows
        return out

    def form(self, latent: NDArray[np.float32], minutes: NDArray[np.float64]) -> NDArray[np.float32]:
        """See the class."""
        out = super().form(latent, minutes)
        out[..., -COUNTS:] = counted(latent[..., -COUNTS:], 0.1 + self._waiting(minutes))
        return out

    def _waiting(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """How many wait, (M,)."""
        at, out = hour(minutes), np.zeros(minutes.size)
        for day in np.unique(minutes // 86400.0).tolist():
            random, free = (
                np.random.default_rng([self.days, int(day)]),
                bool(weekend(np.array([day * 86400.0]))[0]),
            )
            today = minutes // 86400.0 == day
            for leaves in WEEKENDS if free else WEEKDAYS:
                late = leaves + random.exponential(0.08)
                out += np.where(
                    today & (at < late), MOST[free] * np.clip(1.0 - (late - at) / GATHER, 0.0, 1.0), 0.0
                )
        return out
