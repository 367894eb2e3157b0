"""Polygons as pixels: which of a frame a polygon covers, and which of a small copy of it a scope keeps. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.core.polygon import Polygon
from agent.core.scope import Scope

SLACK_PIXELS = 2
"""By so much a drawn polygon is widened: rounding its corners and drawing its edges may each cost one pixel."""

Size = tuple[int, int]
"""Width and height."""


def covered(polygons: Sequence[Polygon], width: int, height: int) -> NDArray[np.uint8]:
    """(height, width) uint8: 255 at every pixel that a polygon touches, and up to three pixels around; 0 elsewhere."""
    mask = np.zeros((height, width), dtype=np.uint8)
    for polygon in polygons:
        corners = np.floor(np.array(polygon) * (width, height))
        corners = np.minimum(corners, (width - 1, height - 1)).astype(np.int32)
        cv2.fillPoly(mask, [corners], 255)  # one by one: OpenCV leaves out what an even number of them cover
    side = 2 * SLACK_PIXELS + 1
    widened: NDArray[np.uint8] = cv2.dilate(mask, np.ones((side, side), dtype=np.uint8))
    return widened


def kept_cells(scope: Scope, size: Size, cells: Size) -> NDArray[np.bool_] | None:
    """Which cells of a small copy of `cells` of a frame of `size` count, (h, w) and read-only; None: all."""
    return _kept_cells(scope.ignored, size, cells) if scope.ignored else None


def kept_pixels(scope: Scope, size: Size, steps: tuple[int, int]) -> NDArray[np.bool_] | None:
    """The same of single pixels, every so many (across, down) from half a step on."""
    return _kept_pixels(scope.ignored, size, steps) if scope.ignored else None


def kept_parts(scope: Scope, size: Size, corners: Iterable[tuple[int, int]], side: int) -> list[bool]:
    """Which squares of `side` pixels, by their (top, left) corners, nothing that is ignored touches."""
    mask = covered(scope.ignored, *size)
    return [not mask[top : top + side, left : left + side].any() for top, left in corners]


@lru_cache(maxsize=512)  # three for each camera
def _kept_cells(polygons: tuple[Polygon, ...], size: Size, cells: Size) -> NDArray[np.bool_]:
    shares = cv2.resize(covered(polygons, *size), cells, interpolation=cv2.INTER_AREA)
    return _read_only(np.asarray(shares) == 0)


@lru_cache(maxsize=512)  # three for each camera
def _kept_pixels(polygons: tuple[Polygon, ...], size: Size, steps: tuple[int, int]) -> NDArray[np.bool_]:
    across, down = steps
    mask = covered(polygons, *size)
    return _read_only(mask[down // 2 :: down, across // 2 :: across] == 0)


def _read_only(kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
    kept.flags.writeable = False
    return kept
