"""Kolmogorov-Smirnov distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.drift.statistics import Shares, Statistic


def distance(seen: Shares, expected: Shares) -> NDArray[np.float64]:
    """The largest difference between the two cumulative distributions, 0..1, over ordered bins.

        KS = max_b | sum_{i<=b} (p_i - q_i) |

    Shares (..., B) to distances (...). With bins that hold equal shares of the reference this is the classical KS
    read at the reference's quantiles; it can miss at most the largest bin.

    >>> distance(np.array([0.5, 0.5, 0.0]), np.array([0.25, 0.25, 0.5])).item()
    0.5
    """
    return np.asarray(np.abs(np.cumsum(seen - expected, axis=-1)).max(axis=-1), dtype=np.float64)


STATISTIC = Statistic(title="KS", distance=distance)
