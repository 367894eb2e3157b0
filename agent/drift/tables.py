"""What is normal at one hour, as a table per feature: from a value to its rank and its normal score.

A table holds up to `POINTS` values of a feature in ascending order, unused places being +inf. At each, `lower` and
`upper` are the shares of the reference below and up to that value: they differ where a value is repeated (a count,
a clipped share), so that discrete features are ranked as soundly as continuous ones. Between values, ranks and
scores are interpolated; beyond them the score goes on as it did in the tail, up to `FAR`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.drift.normal import MOST, below, score_of

Samples = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Values in ascending order and how many each stands for, as `Sketch.weighted` gives them."""

FAR = 6.0
"""The most that one value can count for, in sigma: enough to catch a blind camera in a window, and no more."""

_SCORES = np.concatenate(([-MOST], np.linspace(-2.4, 2.4, 31), [MOST]))
_RANKS = np.concatenate(([0.0], below(_SCORES[1:-1]), [1.0]))
POINTS = _RANKS.size

WIDENING = 0.1
"""An hour's distribution is widened by this part of the feature's overall spread: at night a brightness may stay
within a thousandth for hours, and the next night at another thousandth. That is no drift worth an alarm."""

_LARGEST = np.float32(3e38)  # places that are not used hold infinity
_TAIL = 4  # points of the table, or 8 % of the values, that tell how a tail goes on
_CHORD = (
    6  # points of the table to each side, one sigma: a sketch of some hundred values knows no finer slopes
)
_ATOM = 2.5  # a share this many times that of a kept value is a repeated value, less is the sketch's grain


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ContextTable:
    """One context: `values`, `lower`, `upper`, `scores` (F, POINTS) float64; `used` (F,) int.

    Beyond its ends a score goes on by 1 per `tail` (F, 2), below and above. `slopes` (F, POINTS) is how fast a
    value changes with its score there, about 1 on average, and 1 where values repeat.
    """

    values: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    scores: NDArray[np.float64]
    tail: NDArray[np.float64]
    slopes: NDArray[np.float64]
    used: NDArray[np.int64]

    def values_at(self, ranks: NDArray[np.float64]) -> NDArray[np.float64]:
        """The values below which `ranks` (F, S) of the reference lie, (F, S); NaN where it saw none."""
        place = np.where(np.isfinite(self.values), (self.lower + self.upper) / 2, np.inf)
        found = interpolate_rows(ranks, place, self.values)
        return np.where((self.used > 0)[:, None], found, np.nan)


@dataclass(frozen=True, slots=True, eq=False)
class TableRow:
    """One feature's part of a table, unpadded; `smooth` rows have no repeated value and the standard ranks."""

    values: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    scores: NDArray[np.float64]
    spread: float
    smooth: bool

    def tail(self) -> tuple[float, float]:
        """How far a value moves per unit of score beyond either end: as fast as it last did, or by the spread."""
        if not self.smooth:
            return self.spread, self.spread
        low = (self.values[_TAIL] - self.values[0]) / (self.scores[_TAIL] - self.scores[0])
        high = (self.values[-1] - self.values[-1 - _TAIL]) / (self.scores[-1] - self.scores[-1 - _TAIL])
        return max(float(low), self.spread), max(float(high), self.spread)

    @property
    def slopes(self) -> NDArray[np.float64]:
        """The change of a value per change of its score at each point, along a chord, over its mean."""
        if not self.smooth:
            return np.ones(self.values.size)
        at = np.arange(self.values.size)
        left, right = np.maximum(at - _CHORD, 0), np.minimum(at + _CHORD, at.size - 1)
        chords = (self.values[right] - self.values[left]) / (self.scores[right] - self.scores[left])
        chords = np.maximum(chords, 1e-3 * self.spread)
        return np.asarray(chords / (chords[1:] @ np.diff(_RANKS)), dtype=np.float64)


def make_rows(samples: Sequence[Samples], overall: NDArray[np.float64]) -> list[TableRow]:
    """One row per feature; `overall` (F,) is each feature's spread over all contexts."""
    return [_row(values, weights, spread) for (values, weights), spread in zip(samples, overall, strict=True)]


def blend_rows(first: TableRow, second: TableRow, share: float) -> TableRow | None:
    """The row `share` of the way from `first` to `second`, quantile by quantile; None unless both are smooth."""
    if not (first.smooth and second.smooth):
        return None
    values = first.values + share * (second.values - first.values)
    spread = first.spread + share * (second.spread - first.spread)
    return TableRow(values, _RANKS, _RANKS, _SCORES, spread, smooth=True)


def make_table(rows: Sequence[TableRow]) -> ContextTable:
    """Rows of equal width."""

    def padded(name: str, filling: float) -> NDArray[np.float64]:
        table = np.full((len(rows), POINTS), filling)
        for line, row in zip(table, rows, strict=True):
            part = getattr(row, name)
            line[: part.size] = part
        return table

    return ContextTable(
        values=padded("values", np.inf),
        lower=padded("lower", 1.0),
        upper=padded("upper", 1.0),
        scores=padded("scores", 0.0),
        tail=np.array([row.tail() for row in rows]),
        slopes=padded("slopes", 1.0),
        used=np.array([row.values.size for row in rows]),
    )


_COLUMNS = ("values", "lower", "upper", "scores", "tail", "slopes", "used")


def stacked(tables: Sequence[ContextTable]) -> ContextTable:
    """Tables as one, one after the other."""
    return ContextTable(
        **{name: np.concatenate([getattr(each, name) for each in tables]) for name in _COLUMNS}
    )


def merged(table: ContextTable, other: ContextTable, where: NDArray[np.bool_]) -> ContextTable:
    """`table` with the rows in `where` (F,) from `other`."""
    return ContextTable(
        **{
            name: np.where(where.reshape(-1, *[1] * (mine.ndim - 1)), getattr(other, name), mine)
            for name in _COLUMNS
            for mine in [getattr(table, name)]
        }
    )


def interpolate_rows(
    at: NDArray[np.float64], known: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """`np.interp` row by row: `values` (F, P) at `known` (F, P), ascending, padded with +inf, read at `at` (F, S)."""
    row = np.arange(len(known))[:, None]
    last = np.maximum(np.isfinite(known).sum(axis=1)[:, None] - 1, 0)
    right = np.clip((at[..., None] > known[:, None, :]).sum(axis=-1), 0, last)
    left = np.maximum(right - 1, 0)
    start, end = known[row, left], known[row, right]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(end > start, np.clip((at - start) / (end - start), 0.0, 1.0), 1.0)
        return np.asarray(
            values[row, left] + share * (values[row, right] - values[row, left]), dtype=np.float64
        )


def spread_of(values: NDArray[np.float32], weights: NDArray[np.int64]) -> float:
    """A robust sigma: half the distance between the 16th and the 84th percentile; 0 if there is nothing."""
    if not values.size:
        return 0.0
    low, high = _quantiles(values, weights, below([-1.0, 1.0]))
    return float(high - low) / 2


def _quantiles(
    values: NDArray[np.float32], weights: NDArray[np.int64], ranks: NDArray[np.float64]
) -> NDArray[np.float64]:
    ends = np.cumsum(weights)
    found = np.searchsorted(ends, ranks * ends[-1] * (1 - 1e-12), side="left")
    return np.asarray(values[np.minimum(found, values.size - 1)], dtype=np.float64)


def _row(values: NDArray[np.float32], weights: NDArray[np.int64], overall: float) -> TableRow:
    if not values.size:
        return TableRow(np.empty(0), np.empty(0), np.empty(0), np.empty(0), 1.0, smooth=False)
    inner = _quantiles(values, weights, _RANKS[1:-1])
    distinct = np.unique(np.concatenate((values[:1], inner, values[-1:])))
    sums = np.concatenate(([0], np.cumsum(weights)))
    low = sums[np.searchsorted(values, distinct.astype(np.float32), side="left")] / sums[-1]
    high = sums[np.searchsorted(values, distinct.astype(np.float32), side="right")] / sums[-1]
    repeated = high - low > _ATOM * weights.max() / sums[-1]
    least = max(WIDENING * overall, 1e-6 * abs(float(distinct[distinct.size // 2])), 1e-9)
    spread = max(spread_of(values, weights), least)
    if distinct.size > 1 and not repeated.any():
        points = np.concatenate((values[:1], inner, values[-1:])).astype(np.float64)
        return TableRow(
            _widened(points, _SCORES, WIDENING * overall), _RANKS, _RANKS, _SCORES, spread, smooth=True
        )
    middle = (low + high) / 2
    lower, upper = np.where(repeated, low, middle), np.where(repeated, high, middle)
    return TableRow(distinct, lower, upper, score_of(middle), spread, smooth=False)


def _widened(points: NDArray[np.float64], scores: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Each point further from the median, as if noise of sigma `width` had been added."""
    away = points - points[points.size // 2]
    return np.asarray(points - away + np.sign(scores) * np.hypot(away, width * scores), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranked:
    """Values seen through a table: `low`, `high` their ranks (they differ on a repeated value), `score`.

    `slope` is how fast a value changes with its score there, about 1 on average.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    score: NDArray[np.float64]
    slope: NDArray[np.float64]


def rank(table: ContextTable, knots: NDArray[np.float32]) -> Ranked:
    """Rank and normal score of `knots` (..., F, M), NaN counting as the middle; results of the same shape."""
    number = np.arange(table.used.size)[:, None]
    knots = np.clip(knots, -_LARGEST, _LARGEST)
    found = (knots[..., None] >= table.values[:, None, :]).sum(axis=-1) - 1
    left = np.maximum(found, 0)
    right = np.minimum(found + 1, np.maximum(table.used - 1, 0)[:, None])
    start, lower, upper, score = (
        column[number, left] for column in (table.values, table.lower, table.upper, table.scores)
    )
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        away = knots - start
        width = table.values[number, right] - start
        share = np.where(right > left, away / width, 0.0)
        tail = np.where(found < 0, table.tail[:, :1], table.tail[:, 1:])
        beyond = away / tail
    outside = (found < 0) | (right == left)
    share = np.clip(np.nan_to_num(share), 0.0, 1.0)
    between = np.where(outside, away > 0, upper + share * (table.lower[number, right] - upper))
    score = score + np.where(outside, beyond, share * (table.scores[number, right] - score))
    at, unknown = away == 0, np.isnan(knots) | (table.used == 0)[:, None]
    return Ranked(
        low=np.where(unknown, 0.0, np.where(at, lower, between)),
        high=np.where(unknown, 1.0, np.where(at, upper, between)),
        score=np.where(unknown, 0.0, np.clip(score, -FAR, FAR)),
        slope=np.where(unknown, 1.0, table.slopes[number, left]),
    )
