"""Wasserstein-1 distance of ranks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.drift.statistics import Shares, Statistic


def distance(seen: Shares, expected: Shares) -> NDArray[np.float64]:
    """How far shares have to be moved on average, in bins of the whole range 0..1, over ordered bins (..., B).

        W1 = 1/B sum_b | sum_{i<=b} (p_i - q_i) |

    >>> distance(np.array([1.0, 0.0, 0.0, 0.0]), np.array([0.0, 0.0, 0.0, 1.0])).item()
    0.75
    """
    moved = np.abs(np.cumsum(seen - expected, axis=-1)).sum(axis=-1)
    return np.asarray(moved / seen.shape[-1], dtype=np.float64)


STATISTIC = Statistic(title="Wasserstein", distance=distance, per_ks=0.45)
