"""Population stability index."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.drift.statistics import Shares, Statistic

SMOOTHING = 0.005
"""Every bin is given this much of both sides before they are compared, in shares of the whole (see `distance`)."""


def distance(seen: Shares, expected: Shares) -> NDArray[np.float64]:
    """PSI = sum_i (p_i - q_i) ln(p_i / q_i), 0 and up, over bins (..., B).

    An empty bin would make it infinite. Both sides are therefore mixed with a little of the bins' even distribution,
    p' = (p + s) / (1 + s B), with s = SMOOTHING, so it is bounded by about ln(1 / s) = 5.3, and a bin that is
    empty by chance, as one in ten is in a window of a few independent looks, weighs little.

    Under no change PSI is about (1/n + 1/m) times a chi-squared variable with B - 1 degrees of freedom, n and m
    being the *independent* looks on either side (Yurdakul and Naranjo, 2020): with one minute of video against a
    day that is often above 0.25, the usual threshold. So it is judged by its usual size, never by 0.1 or 0.25.

    >>> round(distance(np.array([0.5, 0.5]), np.array([0.5, 0.5])).item(), 6)
    0.0
    >>> distance(np.array([1.0, 0.0]), np.array([0.0, 1.0])).item() < 10.7
    True
    """
    whole = 1.0 + SMOOTHING * seen.shape[-1]
    p, q = (seen + SMOOTHING) / whole, (expected + SMOOTHING) / whole
    return np.asarray(np.maximum(((p - q) * np.log(p / q)).sum(axis=-1), 0.0), dtype=np.float64)


STATISTIC = Statistic(title="PSI", distance=distance, most=10.7, quadratic=True, per_ks=3.2)
