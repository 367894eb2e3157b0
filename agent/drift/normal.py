"""The normal distribution in numpy, as the daemon carries no scipy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST = 3.0
"""Scores within the range a reference has seen go no further: a few hundred looks do not know the 0.1 % tail."""

_GRID = np.linspace(-8.0, 8.0, 4001)
_BELOW = np.array([0.5 * math.erfc(-z / math.sqrt(2.0)) for z in _GRID])


def below(score: Any) -> NDArray[np.float64]:
    """The share of a normal distribution below `score`."""
    return np.asarray(np.interp(score, _GRID, _BELOW), dtype=np.float64)


def score_of(rank: Any) -> NDArray[np.float64]:
    """The score below which the share `rank` (0..1) of a normal distribution lies, within ±MOST.

    >>> score_of([0.5, 0.841345, 1.0]).round(3).tolist()
    [0.0, 1.0, 3.0]
    """
    return np.asarray(np.clip(np.interp(rank, _BELOW, _GRID), -MOST, MOST), dtype=np.float64)
