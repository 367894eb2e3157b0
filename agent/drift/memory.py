"""Fading memories: means over the last windows at several time constants, in constant space.

Each value is kept as twelve exponentially fading means (0, 1, 2, 4 ... 1024 windows). Together they hold when
something changed nearly as well as the windows themselves would, in a hundred bytes instead of kilobytes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TIMES = np.array([0.0, *(2.0**power for power in range(11))])
"""Time constants of the fading means, in windows; 0 is the last window alone."""

KEEP = np.where(TIMES > 0, np.exp(-1.0 / np.maximum(TIMES, 1e-9)), 0.0)
"""What is left of each mean after one more window, (K,)."""

AGES = np.unique(np.rint(2.0 ** np.arange(0, 10.01, 0.5)).astype(int))
"""How many windows ago a change may have begun, (J,): the time scales of the verdict, a factor 1.4 apart."""

_TRIALS = 16.5
AGE_WEIGHTS = np.sqrt(_TRIALS / (_TRIALS - np.log(AGES)))
"""What scores are multiplied by at each age before the largest counts, (J,): a month holds a thousand times fewer
independent looks at an age of 1024 windows than at 1, so that what is as rare there is lower. The levels that a
normal score reaches equally often are sqrt(2 (ln N - ln age)); ln N is about 16.5 for a month of sixty scores."""

SCALES = np.array([1, 4, 16, 64])
"""Time scales of distances between distributions, in windows."""

SCALE_KEEP = (SCALES - 1) / (SCALES + 1)
"""What is left at each scale after one more window: the mean age of what is remembered is that of a block of
SCALES windows."""


def fade(memory: NDArray[np.float64], new: NDArray[np.float64], windows: float = 1.0) -> NDArray[np.float64]:
    """Memory (..., K) after `windows` windows of which the last showed `new` (...): the others showed nothing."""
    return memory * KEEP**windows + (1.0 - KEEP) * new[..., None]


def fading_means(series: NDArray[np.float64], gaps: NDArray[np.float64], place: int) -> NDArray[np.float64]:
    """The fading mean of time constant TIMES[place] after each window of series (W, ...), `gaps` (W,) apart."""
    keep, mean, out = KEEP[place], np.zeros(series.shape[1:]), np.empty(series.shape)
    for number, (new, passed) in enumerate(zip(series, keep**gaps, strict=True)):
        mean = passed * mean + (1.0 - keep) * new
        out[number] = mean
    return out


def step_response(ages: NDArray[np.int64] = AGES) -> NDArray[np.float64]:
    """What the memory holds of a unit step that began `ages` windows ago, (J, K)."""
    return np.asarray(1.0 - KEEP ** ages[:, None], dtype=np.float64)
