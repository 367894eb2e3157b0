"""How sure a figure is, and whether one model is better than another: a bootstrap over images.

Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13: percentile intervals. Images are drawn
with replacement, the same ones for both models, so that what is hard in an image hurts both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.maintenance.evaluation.scores import Outcome, average_precisions

FEWEST_IMAGES = 20
"""With fewer an interval says nothing."""

_INTERVAL = (2.5, 97.5)  # percentiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure or a difference, and where it lies in 95 of 100 draws."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Draws:
    """`map50` and `map50_95` of each draw, (draws,) each."""

    map50: NDArray[np.float64]
    map50_95: NDArray[np.float64]


def draw(
    outcomes: Sequence[Outcome],
    images: int,
    *,
    draws: int,
    seed: int = 0,
    progress: Callable[[Iterable[int], int], Iterable[int]] = lambda numbers, _total: numbers,
) -> list[Draws]:
    """The figures of each outcome in `draws` draws of `images` images, the same images for all."""
    random = np.random.default_rng(seed)
    classes = np.unique(np.concatenate([outcome.label_classes for outcome in outcomes]))
    parts = [[_OfClass(outcome, int(class_id)) for class_id in classes] for outcome in outcomes]
    means = np.zeros((len(outcomes), draws, 2))
    for number in progress(range(draws), draws):
        weights = np.bincount(random.integers(0, images, images), minlength=images).astype(np.float64)
        for place, part in enumerate(parts):
            means[place, number] = _means([one.average(weights) for one in part])
    return [Draws(map50=mean[:, 0], map50_95=mean[:, 1]) for mean in means]


def interval(values: NDArray[np.float64]) -> Interval:
    """Where 95 of 100 values lie."""
    low, high = np.percentile(values, _INTERVAL)
    return Interval(low=float(low), high=float(high))


class _OfClass:
    """The boxes and labels of one class, ready to be counted with other weights."""

    def __init__(self, outcome: Outcome, class_id: int) -> None:
        chosen = outcome.classes == class_id
        self._right, self._counts = outcome.right[chosen], outcome.counts[chosen]
        self._images = outcome.images[chosen]
        self._labels = outcome.label_images[outcome.label_classes == class_id]

    def average(self, weights: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """(10,) average precisions, None where no label was drawn."""
        labels = float(weights[self._labels].sum())
        if labels == 0:
            return None
        return average_precisions(self._right, self._counts, labels, weights[self._images])


def _means(averages: Sequence[NDArray[np.float64] | None]) -> tuple[float, float]:
    known = [one for one in averages if one is not None]
    if not known:
        return 0.0, 0.0
    table = np.stack(known)
    return float(table[:, 0].mean()), float(table.mean())
