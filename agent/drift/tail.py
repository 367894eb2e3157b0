"""The tail of a score under normal conditions, and the limit that a budget of false alarms sets.

A score's episodes are its runs above a level, one per hour at most. How often the largest of a normal feature's
weighted scores over all ages has an episode above level u was simulated; above 3.3 it is, within a tenth,

    rate(u) = 4.2e-4 exp(-(u² - 4²) / (2 * 1.14²))     a window

whatever the feature's autocorrelation (`python -m benchmarks.drift.tails`). Another score is taken to have the same
tail, `stretch` times as far out; its stretch is that of the level which a handful of its episodes reached.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

APART = 60  # windows between two exceedances that make them two episodes
_LEVEL, _RATE, _WIDTH = 4.0, 4.2e-4, 1.14
_STEP = 0.05
_LEAST_EPISODES = 4
_ALONE = (
    0.95  # a single feature's stretch is known within 5 %: it counts where it is more than that beyond all
)
_MARGIN, _MARGIN_DAYS = 0.07, 7.0
"""What scores exceeded their limits by in simulated months after a week of reference: sizes are known within some per
cent, and a month is not quite like the days recorded. 5 % let through two to three times as many false alarms and
hardly shortened a delay. How well a size is known grows with the square root of the days, and so the margin falls."""
_WIDEST = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """The tail of one score: a normal score's, `stretch` times as far out."""

    stretch: float

    def limit(self, false_alarms_per_window: float) -> float:
        """The level that episodes reach `false_alarms_per_window` times a window on average."""
        return self.stretch * normal_level(false_alarms_per_window)


def normal_level(rate: float) -> float:
    """The level that a normal feature's largest score reaches in `rate` episodes a window, at least 1.

    >>> round(normal_level(4.2e-4), 3)
    4.0
    """
    squared = _LEVEL**2 + 2.0 * _WIDTH**2 * math.log(_RATE / max(rate, 1e-300))
    return math.sqrt(max(squared, 1.0))


def fit_tails(scores: NDArray[np.float64], days: float) -> tuple[Tail, ...]:
    """The tails of F alike series of scores (W, F) of `days`: as far out as most are, or further where one alone is.

    What a handful of episodes says is uncertain: a standard error, of one or of the mean of many, is added.
    """
    wanted = max(_LEAST_EPISODES, round(math.sqrt(len(scores)) / 10))
    alone = [_stretch(column, wanted) for column in scores.T]
    doubt = _uncertainty(wanted, len(scores)) / math.sqrt(len(alone))
    usual = float(np.median(alone)) * (1.0 + doubt)
    wider = margin(days)
    return tuple(Tail(stretch=min(wider * max(1.0, usual, _ALONE * each), _WIDEST)) for each in alone)


def margin(days: float) -> float:
    """What limits are multiplied by for what a reference of so many days cannot know.

    >>> [round(margin(days), 2) for days in (1, 3, 7, 28)]
    [1.19, 1.11, 1.07, 1.07]
    """
    return 1.0 + _MARGIN * math.sqrt(max(1.0, _MARGIN_DAYS / max(days, 1e-9)))


def _stretch(series: NDArray[np.float64], wanted: int) -> float:
    """How far out the level lies above which there were `wanted` episodes, where a normal score's is 1."""
    level = float(series.max())
    while level > 1.0 and episode_peaks(series, level).size < wanted:
        level -= _STEP
    return level / normal_level(wanted / series.size)


def _uncertainty(episodes: int, windows: int) -> float:
    """The relative standard error of a stretch that rests on a number of episodes."""
    return _WIDTH**2 / (math.sqrt(episodes) * normal_level(episodes / windows) ** 2)


def episode_peaks(series: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """The largest value of each episode above `level` of a series (W,)."""
    above = np.flatnonzero(series > level)
    if not above.size:
        return np.empty(0)
    first = np.concatenate(([0], np.flatnonzero(np.diff(above) >= APART) + 1))
    return np.asarray(np.maximum.reduceat(series[above], first), dtype=np.float64)
