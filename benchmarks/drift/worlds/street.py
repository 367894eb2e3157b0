"""A shopping street as a detector sees it: shops close late on Thursdays, rain keeps people away, some come in waves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.streams import DAY
from benchmarks.drift.worlds.world import World, counted, hour, wandering

COUNTS = 6
OPEN = np.array(
    [(9, 19, 5), (9, 19, 5), (9, 19, 5), (9, 21, 5), (9, 19, 6), (9, 18, 8), (11, 18, 3)], dtype=float
)
"""From Monday on: when people come and go, and how many there are of each kind."""

EVENING, ENDS, NIGHT = 0.8, 23.0, 0.03
WAVES, WAVE_MINUTES, RAIN_MINUTES, HIDES = 0.3, 8.0, 120.0, 0.1


class Street(World):
    """Six counts, and six means over what is counted: 0 while there is nothing, calmer and lower the more there is."""

    def draw(self) -> None:
        """How many of each kind there are, and where waves and weather begin."""
        self.shares = self.random.uniform(0.4, 1.2, COUNTS)
        self.wave, self.rain = self.random.standard_normal(1), self.random.standard_normal(1)

    def form(self, latent: NDArray[np.float32], minutes: NDArray[np.float64]) -> NDArray[np.float32]:
        """See the class."""
        out, means = super().form(latent, minutes), slice(-2 * COUNTS, -COUNTS)
        many = counted(latent[..., -COUNTS:], self._people(minutes)[:, None] * self.shares)
        some = np.maximum(many, 1.0)
        out[..., means] = np.where(
            many > 0, 100 + 10 * (latent[..., means] / np.sqrt(some) - HIDES * some), 0.0
        )
        out[..., -COUNTS:] = many
        return out

    def _people(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """How many are expected, (M,)."""
        wave = wandering(self.random, self.wave, minutes.size, WAVE_MINUTES)
        rain = wandering(self.random, self.rain, minutes.size, RAIN_MINUTES)
        self.wave, self.rain = wave[-1], rain[-1]
        at, (opens, closes, most) = hour(minutes), OPEN[((minutes // DAY + 3) % 7).astype(int)].T
        shops = most * np.clip(np.minimum(at - opens, closes - at) / 1.5, 0.0, 1.0)
        people = shops + EVENING * ((at >= opens) & (at < ENDS))
        stay = 1.0 - 0.5 * np.clip(rain[:, 0] - 1.0, 0.0, 1.0)
        return np.asarray(NIGHT + people * stay * np.exp(WAVES * wave[:, 0]))
