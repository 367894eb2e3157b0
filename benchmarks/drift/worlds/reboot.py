"""A camera that restarts at three each night, and whose lens then rests up to a motor step nearer or farther than before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.streams import DAY
from benchmarks.drift.worlds.world import FEATURES, World

AT, BOOTS, SETTLES = 3.0, 2.0, 1.5
"""The hour; minutes without a picture; the time constant in minutes by which the gain then finds its value."""

EXPOSED, FOCUSED, WARMED = 6, 4, 8
GAIN, STEP, COOL, HOT = 4.0, 0.5, 0.8, 2.0


class Reboot(World):
    """The gain takes five minutes, the lens keeps its half a sigma until the next night, and warmth brings up to two by day.

    Half the features are whole multiples of their sigma, as an eight-bit mean of a still picture is.
    """

    def draw(self) -> None:
        """The signs of what the gain, the lens and the warmth do, and this camera's own days."""
        self.gains = self.random.choice([-1.0, 1.0], EXPOSED)
        self.focuses = self.random.choice([-1.0, 1.0], FOCUSED)
        self.warms = self.random.choice([-1.0, 1.0], WARMED)
        self.days = int(self.random.integers(1 << 31))

    def sampled(self, minutes: NDArray[np.float64]) -> NDArray[np.int64]:
        """See the class."""
        return np.where((minutes - 3600 * AT) % DAY < 60 * BOOTS, 0, super().sampled(minutes))

    def level(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """See the class."""
        out, since = np.zeros((minutes.size, FEATURES)), (minutes - 3600 * AT) % DAY / 60
        started = (minutes - 3600 * AT) // DAY
        out[:, :EXPOSED] = GAIN * np.exp(-np.maximum(since - BOOTS, 0.0) / SETTLES)[:, None] * self.gains
        warm = 0.5 - 0.5 * np.cos(2 * np.pi * since / 1440)
        for night in np.unique(started):
            random, at = np.random.default_rng([self.days, int(night)]), started == night
            out[at, EXPOSED : EXPOSED + FOCUSED] += STEP * random.integers(-1, 2) * self.focuses
            out[at, -WARMED:] += random.uniform(COOL, HOT) * warm[at, None] * self.warms
        return out

    def form(self, latent: NDArray[np.float32], minutes: NDArray[np.float64]) -> NDArray[np.float32]:
        """See the class."""
        out = latent.copy()
        out[..., ::2] = np.rint(latent[..., ::2])
        return super().form(out, minutes)
