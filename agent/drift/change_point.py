"""Change points of a series by binary segmentation: where its mean steps to another level. Pure.

    cost of a segment   the sum of squares about its mean, over all columns, in units of each column's own noise
    gain of a split     by how much it lowers the cost
    a split is made     while the best gain is over PENALTY * columns * ln(rows)   (BIC: 2 and more)

Scott and Knott (1974), "A cluster analysis method for grouping means in the analysis of variance"; the noise is that of
the differences from one row to the next, which a step does not raise.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

PENALTY = 3.0
LEAST_ROWS = 3
"""Of a segment: less is an outlier."""

_SIGMA_OF_MAD = 1.4826
_LEAST_NOISE = 1e-9


def noise(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The scatter of each column of `values` (n, d) about its slowly changing level, (d,): robust, of differences."""
    steps = np.abs(np.diff(values, axis=0))
    spread = _SIGMA_OF_MAD * np.median(steps, axis=0) / np.sqrt(2.0)
    return np.asarray(np.where(spread > _LEAST_NOISE, spread, steps.mean(axis=0) + _LEAST_NOISE))


def change_points(values: NDArray[np.float64]) -> list[int]:
    """The rows of `values` (n, d), all finite, with which a new level begins, in order.

    >>> change_points(np.array([[0.0], [0.1], [0.0], [0.1], [5.0], [5.1], [5.0], [5.1]]))
    [4]
    """
    rows, columns = values.shape
    if rows < 2 * LEAST_ROWS:
        return []
    scaled = values / noise(values)
    sums = np.vstack([np.zeros(columns), np.cumsum(scaled, axis=0)])
    least = PENALTY * columns * np.log(rows)
    found: list[int] = []
    waiting = [(0, rows)]
    while waiting:
        start, end = waiting.pop()
        row, gain = _best_split(sums, start, end)
        if gain > least:
            found.append(row)
            waiting += [(start, row), (row, end)]
    return sorted(found)


def levels(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each row replaced by the mean of its segment, (n, d)."""
    edges = [0, *change_points(values), len(values)]
    return np.concatenate(
        [
            np.broadcast_to(values[start:end].mean(axis=0), (end - start, values.shape[1]))
            for start, end in pairwise(edges)
        ]
    )


def _best_split(sums: NDArray[np.float64], start: int, end: int) -> tuple[int, float]:
    """The row that splits a segment best, and its gain; no gain in a segment that is too short."""
    rows = np.arange(start + LEAST_ROWS, end - LEAST_ROWS + 1)
    if not len(rows):
        return start, 0.0
    before, after = sums[rows] - sums[start], sums[end] - sums[rows]
    whole = sums[end] - sums[start]
    explained = np.square(before).sum(axis=1) / (rows - start) + np.square(after).sum(axis=1) / (end - rows)
    gains = explained - np.square(whole).sum() / (end - start)
    best = int(gains.argmax())
    return int(rows[best]), float(gains[best])
