"""People's rhythm moves by an hour with the clock; the sun does not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.streams import DAY
from benchmarks.drift.worlds.world import FEATURES, FIRST_DAY, World, counted, hour

PEOPLE, LIT = 8, 8
CHANGES_ON = FIRST_DAY + 34 * DAY + 3600.0
"""2026-10-25 01:00 UTC: the clocks of Central Europe go back by an hour."""


class ClockChange(World):
    """Eight counts and eight features follow local hours from 7 to 19, eight other features follow the sun."""

    def level(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """See the class."""
        out = np.zeros((minutes.size, FEATURES))
        out[:, :LIT] = 3.0 * np.clip(np.sin(2 * np.pi * (hour(minutes) - 5) / 24), -0.3, None)[:, None]
        out[:, LIT:-PEOPLE] = 2.0 * self._busy(minutes)[:, None]
        return out

    def form(self, latent: NDArray[np.float32], minutes: NDArray[np.float64]) -> NDArray[np.float32]:
        """See the class."""
        out = super().form(latent, minutes)
        out[..., -PEOPLE:] = counted(latent[..., -PEOPLE:], 4.0 * self._busy(minutes))
        return out

    @staticmethod
    def utc_offset(moment: float) -> float:
        """Of Central Europe."""
        return 7200.0 if moment < CHANGES_ON else 3600.0

    @staticmethod
    def _busy(minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        at = hour(minutes + np.where(minutes < CHANGES_ON, 7200.0, 3600.0))
        return 1 / (1 + np.exp(-(at - 8) / 0.2)) - 1 / (1 + np.exp(-(at - 18) / 0.2))
