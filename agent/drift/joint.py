"""The joint score: small changes in many features at once count together.

For each age of the change the scores z of all features and aspects are added up as

    Q = sum ln(1 - p + p exp(z² / 2)),   p = 0.1

the log likelihood ratio of "each feature has changed with probability p, by its most likely amount" (Xie and
Siegmund, Sequential multi-sensor change-point detection, Annals of Statistics 41, 2013). One feature that moved
much and twenty that moved a little both show in it; a sum of squares is blind to the former. Q is made normal by
Wilson and Hilferty's cube root, with the mean and variance that it has over the reference.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CHANGED = 0.1
_MOST = 6.0  # z²/2 of 3.5 sigma: from there on a feature is for its own limit to judge


def contributions(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each score adds to the joint one; any shape."""
    power = np.minimum(scores * scores / 2.0, _MOST)
    return np.asarray(np.log1p(CHANGED * np.expm1(power)), dtype=np.float64)


def combine(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Q (..., J) of scores (..., 3, F, J)."""
    return np.asarray(contributions(scores).sum(axis=(-3, -2)), dtype=np.float64)


def made_normal(
    joint: NDArray[np.float64], mean: NDArray[np.float64], variance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Q as a score: about standard normal where Q has this mean and variance; all shapes (..., J)."""
    shape = mean**2 / variance
    ratio = np.maximum(joint / mean, 1e-9)
    return np.asarray((np.cbrt(ratio) - (1 - 1 / (9 * shape))) * np.sqrt(9 * shape), dtype=np.float64)
