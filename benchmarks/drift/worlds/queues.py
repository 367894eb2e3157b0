"""A queue before a counter: people come in bursts, and wait until those before them are served."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.worlds.world import FEATURES, World, daylight

LENGTHS = 3
SERVED_A_MINUTE, BURSTS_AN_HOUR, BURST = 1.5, 1.2, 9.0
CLIP = 40


class Queues(World):
    """Three counts are the lengths of queues (a mean load of four fifths, with bursts), two features their shares."""

    def draw(self) -> None:
        """Nobody waits."""
        self.waiting = np.zeros(LENGTHS)

    def form(self, latent: NDArray[np.float32], minutes: NDArray[np.float64]) -> NDArray[np.float32]:
        """See the class."""
        out = super().form(latent, minutes)
        for place, busy in enumerate(daylight(minutes)):
            bursts = self.random.poisson(BURSTS_AN_HOUR / 60.0 * busy, LENGTHS) * self.random.poisson(
                BURST, LENGTHS
            )
            come = self.random.poisson(1.0 * busy, LENGTHS) + bursts
            served = self.random.poisson(SERVED_A_MINUTE, LENGTHS)
            self.waiting = np.clip(self.waiting + come - served, 0, CLIP)
            noise = np.rint(0.7 * latent[place, :, -LENGTHS:])
            out[place, :, FEATURES - LENGTHS :] = np.maximum(self.waiting + noise * (self.waiting > 0), 0)
            share = self.waiting.mean() / (1.0 + self.waiting.mean())
            out[place, :, FEATURES - LENGTHS - 2 : FEATURES - LENGTHS] = np.clip(
                0.6 * share + 0.05 * latent[place, :, -LENGTHS - 2 : -LENGTHS], 0.0, 1.0
            )
        return out
