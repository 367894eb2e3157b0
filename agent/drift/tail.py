"""The tail of a score under normal conditions, and the limit that a budget of false alarms sets.

A score's episodes are its runs above a level, one per hour at most. Above a level `start` that it reached
`rate` times a window, episodes are taken to reach level u with rate `rate * exp(-(u² - start²) / (2 width²))`:
the shape of a normal score's tail (`width` 1), wider where the data say so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

APART = 60  # windows between two exceedances that make them two episodes
_STARTS = np.arange(4.0, 2.45, -0.1)
_WANTED = 20  # episodes that the tail is fitted to, where there are as many
_PRIOR_RATE = 2.0  # weight of NORMAL's rate, as a number of episodes
_PRIOR_EPISODES = 10.0  # weight of "the tail is normal" in the fit, as a number of episodes
_WIDEST = 2.5
_NARROWEST = 1.1  # sizes known within some per cent make even a normal score's tail this wide


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """Tail of one score: it starts at `start`, reached `rate` times a window; `width` 1 is a normal tail."""

    start: float
    rate: float
    width: float

    def limit(self, false_alarms_per_window: float) -> float:
        """The level that episodes reach `false_alarms_per_window` times a window on average."""
        excess = np.log(self.rate / false_alarms_per_window) if self.rate > 0 else 0.0
        return float(np.sqrt(max(self.start**2 + 2.0 * self.width**2 * excess, 1.0)))

    def scaled(self, factor: float) -> Tail:
        """The tail of a score that is `factor` times as large."""
        return Tail(start=self.start * factor, rate=self.rate, width=self.width * factor)


NORMAL = Tail(start=3.0, rate=0.012, width=1.0)
"""The tail of the largest of a normal feature's scores over all ages (simulated): where nothing can be learnt."""


def fit_tail(scores: NDArray[np.float64]) -> Tail:
    """The tail of a series of scores (W,).

    It starts where enough episodes stand above it, and is drawn towards NORMAL where there are few.
    """
    for start in _STARTS:
        peaks = episode_peaks(scores, start)
        if peaks.size >= _WANTED:
            break
    excess = float(((peaks**2 - start**2) / 2.0).sum())
    width = np.sqrt((excess + _PRIOR_EPISODES) / (peaks.size + _PRIOR_EPISODES))
    expected = NORMAL.rate * np.exp((NORMAL.start**2 - start**2) / 2.0)
    rate = (peaks.size + _PRIOR_RATE) / (scores.size + _PRIOR_RATE / expected)
    return Tail(start=float(start), rate=float(rate), width=float(np.clip(width, _NARROWEST, _WIDEST)))


def episode_peaks(series: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """The largest value of each episode above `level` of a series (W,)."""
    above = np.flatnonzero(series > level)
    if not above.size:
        return np.empty(0)
    first = np.concatenate(([0], np.flatnonzero(np.diff(above) >= APART) + 1))
    return np.asarray(np.maximum.reduceat(series[above], first), dtype=np.float64)
