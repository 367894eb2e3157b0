"""Jensen-Shannon distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.drift.statistics import Shares, Statistic


def distance(seen: Shares, expected: Shares) -> NDArray[np.float64]:
    """Square root of the Jensen-Shannon divergence in bits, 0..1, over bins (..., B) in any order.

        JSD = (KL(p | m) + KL(q | m)) / 2, m = (p + q) / 2

    It is a metric, needs no smoothing where a class is missing on one side, and treats both sides alike
    (Endres and Schindelin, 2003).

    >>> distance(np.array([1.0, 0.0]), np.array([0.0, 1.0])).item()
    1.0
    """
    middle = (seen + expected) / 2
    divergence = (_part(seen, middle) + _part(expected, middle)) / 2
    return np.asarray(np.sqrt(np.clip(divergence, 0.0, 1.0)), dtype=np.float64)


def _part(side: Shares, middle: Shares) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(side > 0, side * np.log2(side / middle), 0.0)
    return np.asarray(terms.sum(axis=-1), dtype=np.float64)


STATISTIC = Statistic(title="Jensen-Shannon", distance=distance, per_ks=1.5)
