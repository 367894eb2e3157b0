"""Polygons in shares of a frame: parsed with every mistake named, asked for points. Pure.

A polygon is simple: its outline neither crosses nor touches itself, so it has one inside whatever rule is used.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from agent.core.errors import ConfigError

Point = tuple[float, float]
Polygon = tuple[Point, ...]
"""Its corners in order, each (x, y): (0, 0) is the frame's upper left, (1, 1) its lower right."""

MOST_CORNERS = 100
LEAST_AREA = 1e-6
"""Share of the frame: two pixels of 1920 × 1080."""

_CORNER = "a corner [x, y] in shares of the frame, from 0 (left, top) to 1 (right, bottom)"
_OUTLINE = "a list of its corners in order, such as [[0, 0], [0.3, 0], [0.3, 0.2]]"


def parse_polygon(value: object) -> Polygon:
    """The polygon in a list of corners; a last corner that repeats the first is left out. Raises ConfigError."""
    if not isinstance(value, (list, tuple)):
        raise ConfigError("is not a polygon", expected=_OUTLINE)
    if len(value) > MOST_CORNERS + 1:
        raise ConfigError(f"has {len(value)} corners", expected=f"at most {MOST_CORNERS}")
    corners = tuple(_corner(number, entry) for number, entry in enumerate(value, 1))
    if len(corners) > 1 and corners[0] == corners[-1]:
        corners = corners[:-1]
    _check(corners)
    return corners


def _corner(number: int, entry: object) -> Point:
    numbers = entry if isinstance(entry, (list, tuple)) else ()
    if len(numbers) != 2 or any(type(one) not in (int, float) for one in numbers):
        raise ConfigError(f"corner {number} is not a pair of numbers", expected=_CORNER)
    if not all(0 <= one <= 1 for one in numbers):  # NaN is refused here, too
        pixels = all(math.isfinite(one) and one >= 0 for one in numbers)
        mend = "; divide pixels by the frame's width and height" if pixels else ""
        raise ConfigError(f"corner {number} is outside the frame", expected=f"{_CORNER}{mend}")
    return float(numbers[0]), float(numbers[1])


def _check(corners: Polygon) -> None:
    """Raise ConfigError where `corners` are no simple polygon with an area."""
    if len(corners) < 3:
        raise ConfigError(f"has {len(corners)} corners", expected=f"3 or more: {_OUTLINE}")
    if len(corners) > MOST_CORNERS:
        raise ConfigError(f"has {len(corners)} corners", expected=f"at most {MOST_CORNERS}")
    for number, (one, other) in enumerate(zip(corners, corners[1:] + corners[:1], strict=True), 1):
        if one == other:
            raise ConfigError(f"corner {number} stands there twice", expected="each corner once")
    if area(corners) < LEAST_AREA and not _touching(corners):
        raise ConfigError("covers next to nothing of the frame", expected="corners that enclose an area")
    if pair := _touching(corners):
        raise ConfigError(
            f"its outline crosses or touches itself, where corner {pair[0]} and corner {pair[1]} lead on",
            expected="its corners in order around it; two areas are two polygons",
        )


def area(corners: Sequence[Point]) -> float:
    """The area as a share of the frame (the shoelace formula).

    >>> area([(0, 0), (1, 0), (1, 0.5), (0, 0.5)])
    0.5
    """
    x, y = np.array(corners, dtype=np.float64).T
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def _touching(corners: Polygon) -> tuple[int, int] | None:
    """Two edges, by the number of the corner that they begin at, that share more than a common corner."""
    start = np.array(corners, dtype=np.float64)
    end = np.roll(start, -1, axis=0)
    count = len(corners)
    # The side of each edge on which each corner lies: of edges that cross, each parts the other's ends.
    begins, ends = _sides(start, end, start), _sides(start, end, end)
    parted = begins * ends <= 0
    crossing = parted & parted.T & _near(start, end)
    index = np.arange(count)
    apart = (index[:, None] - index[None, :]) % count
    crossing &= (apart > 1) & (apart < count - 1)  # neighbours always share a corner
    if crossing.any():
        first, second = np.argwhere(crossing)[0]
        return int(first) + 1, int(second) + 1
    ahead, back = end - start, np.roll(start, 1, axis=0) - start
    doubled = (_cross(ahead, back) == 0) & ((ahead * back).sum(axis=1) > 0)
    if doubled.any():
        number = int(np.argmax(doubled))
        return (number - 1) % count + 1, number + 1
    return None


def _cross(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    product: NDArray[np.float64] = one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]
    return product


def _sides(
    start: NDArray[np.float64], end: NDArray[np.float64], points: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(edges, points): 1 where a point is left of an edge, -1 right of it, 0 on its line."""
    sides: NDArray[np.float64] = np.sign(_cross((end - start)[:, None], points[None, :] - start[:, None]))
    return sides


def _near(start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(edges, edges): whether their bounding boxes touch; edges of one line may lie apart."""
    low, high = np.minimum(start, end), np.maximum(start, end)
    overlap = (low[:, None] <= high[None, :]) & (low[None, :] <= high[:, None])
    return np.asarray(overlap.all(axis=2), dtype=np.bool_)


# -- points -----------------------------------------------------------------------------------------------------


def inside(polygon: Polygon, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of `points` (n, 2), in shares of the frame, lie in the polygon or on its outline; (n,).

    Counts the edges that a ray to the right crosses (Shimrat, 1962).
    """
    crossings = np.zeros(len(points), dtype=np.int64)
    on_outline = np.zeros(len(points), dtype=np.bool_)
    x, y = points[:, 0], points[:, 1]
    for (x0, y0), (x1, y1) in _edges(polygon):
        side = (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)
        within = (np.minimum(x0, x1) <= x) & (x <= np.maximum(x0, x1))
        within &= (np.minimum(y0, y1) <= y) & (y <= np.maximum(y0, y1))
        on_outline |= within & (np.abs(side) < 1e-12)
        upward, downward = (y0 <= y) & (y < y1), (y1 <= y) & (y < y0)
        crossings += (upward & (side > 0)) | (downward & (side < 0))
    return np.asarray(on_outline | (crossings % 2 == 1), dtype=np.bool_)


def _edges(polygon: Polygon) -> Iterator[tuple[Point, Point]]:
    return zip(polygon, polygon[1:] + polygon[:1], strict=True)
