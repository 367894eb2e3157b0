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
_WANTED = 40  # episodes that the tail is fitted to, where there are as many
_PRIOR_EPISODES = 10.0  # weight of "the tail is normal" in the fit, as a number of episodes
_WIDEST = 2.5


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


NORMAL = Tail(start=3.0, rate=0.012, width=1.0)
"""The tail of the largest of a normal feature's scores over all ages (simulated): where nothing can be learnt."""


def fit_tail(scores: NDArray[np.float64]) -> Tail:
    """The tail of scores (W, N): N alike series, pooled. `rate` is that of one series.

    Falls back to NORMAL where there are too few windows to see a tail.
    """
    windows = scores.size
    if windows < 2 * APART:
        return NORMAL
    for start in np.arange(4.0, 0.9, -0.1):
        peaks = np.concatenate([episode_peaks(column, start) for column in scores.T])
        if peaks.size >= _WANTED:
            break
    if not peaks.size:
        return NORMAL
    excess = float(((peaks**2 - start**2) / 2.0).mean())
    variance = (excess * peaks.size + _PRIOR_EPISODES) / (peaks.size + _PRIOR_EPISODES)
    width = float(np.clip(np.sqrt(variance), 1.0, _WIDEST))
    return Tail(start=float(start), rate=peaks.size / windows, width=width)


def episode_peaks(series: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """The largest value of each episode above `level` of a series (W,)."""
    above = np.flatnonzero(series > level)
    if not above.size:
        return np.empty(0)
    first = np.concatenate(([0], np.flatnonzero(np.diff(above) >= APART) + 1))
    return np.asarray(np.maximum.reduceat(series[above], first), dtype=np.float64)
