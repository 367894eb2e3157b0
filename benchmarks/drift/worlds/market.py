"""A market on Wednesday mornings: one weekday is not like the others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.streams import DAY
from benchmarks.drift.worlds.weekends import Weekends
from benchmarks.drift.worlds.world import FEATURES, counted, hour

TOUCHED, SIGMA, TIMES = 5, 1.5, 3.0


def market(minutes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Wednesdays from 6 to 14 h (UTC)."""
    return ((minutes // DAY + 3) % 7 == 2) & (hour(minutes) >= 6) & (hour(minutes) < 14)


class Market(Weekends):
    """The world of weekends; on market days four counts are three times as many, and five features off by 1.5 sigma."""

    def level(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """See the class."""
        out = super().level(minutes)
        out[market(minutes), :TOUCHED] += SIGMA
        return out

    def form(self, latent: NDArray[np.float32], minutes: NDArray[np.float64]) -> NDArray[np.float32]:
        """See the class."""
        out = super().form(latent, minutes)
        if (open_ := market(minutes)).any():
            mean = TIMES * np.ones(int(open_.sum()))
            out[open_, :, FEATURES - 4 :] = counted(latent[open_][..., FEATURES - 4 :], 2.0 * mean)
        return out
