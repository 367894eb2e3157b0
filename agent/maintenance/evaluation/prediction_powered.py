"""A mean over all frames from a few labelled ones and an estimate on all of them: prediction-powered inference. Pure.

    theta = l * mean(f on all frames) + mean(y - l * f on labelled frames)
    variance = var(y - l * f) / n + l² var(f) / N

with y what labels say of a frame, f what was estimated of it; l, 0..1, is chosen so that the variance is least: a good
estimate narrows the interval, a bad one is left out of it (l = 0: the mean of the labelled frames alone). Angelopoulos,
Bates, Fannjiang, Jordan, Zrnic: Prediction-powered inference, Science 382, 2023; l by Angelopoulos, Duchi, Zrnic:
PPI++, arXiv 2311.01453. The labelled frames must be drawn at random from all.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

_SURE = 1.959964


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """The estimates on all frames since `since` (Unix time): their `mean`, their `variance` and how many independent
    ones these are."""

    since: float
    mean: float
    variance: float
    number: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """A mean, 0..1, between `low` and `high` in 95 of 100 cases; `weight`, 0..1, is what the estimate counted for."""

    ratio: float
    low: float
    high: float
    weight: float


def corrected(truth: NDArray[np.float64], estimated: NDArray[np.float64], of: Population) -> Corrected:
    """The mean of the truth over all frames, from at least two labelled ones: their `truth` and `estimated` (n,).

    >>> truth = np.array([1.0, 0.8, 0.9, 0.7]); population = Population(since=0, mean=0.9, variance=0.02, number=400)
    >>> found = corrected(truth, truth + 0.05, population)
    >>> round(found.ratio, 2), round(found.weight, 2)
    (0.85, 0.99)
    """
    n, spread = len(truth), float(estimated.var(ddof=1))
    shared = float(np.cov(truth, estimated)[0, 1])
    weight = min(1.0, max(0.0, shared / ((1.0 + n / of.number) * spread))) if spread > 0 else 0.0
    left = truth - weight * estimated
    ratio = weight * of.mean + float(left.mean())
    error = sqrt(float(left.var(ddof=1)) / n + weight**2 * of.variance / of.number)
    # Student's t for so few degrees of freedom, by its expansion about the normal quantile.
    reach = (_SURE + (_SURE**3 + _SURE) / (4.0 * (n - 1))) * error
    return Corrected(
        ratio=min(1.0, max(0.0, ratio)), low=max(0.0, ratio - reach), high=min(1.0, ratio + reach), weight=weight
    )  # fmt: skip
