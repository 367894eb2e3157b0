"""What the features look at: one small copy of the frame, and some tiles of it at native resolution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.core.polygon import Polygon
from agent.core.raster import kept_cells, kept_parts
from agent.core.scope import WHOLE, Scope
from agent.core.types import Detections

SMALL_PIXELS = 192 * 108
"""Pixels of the small copy: a tenth of a 1080p frame each way."""

TILE = 32
"""Side of a native tile in pixels: a textured spot is left out as a whole by the robust noise estimate."""

TILE_ROWS, TILE_COLUMNS = 4, 6
"""The grid of tiles, spread over the whole frame so that no single object fills them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Thumbnail:
    """What is kept of a camera's last sampled frame: smoothed grey (h, w) uint8, the full shape, what was left out."""

    grey: NDArray[np.uint8]
    shape: tuple[int, int]
    ignored: tuple[Polygon, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """A frame prepared for measuring, without what its scope leaves out; every array is its own copy.

    `small` (h, w, 3) uint8 BGR has about SMALL_PIXELS pixels (never more than the frame), `grey` (h, w) uint8
    is its luma, `tiles` (n, t, t) uint8 are grey tiles at native resolution (t = TILE but for tiny frames),
    `shape` is the frame's (H, W). `kept` (h, w) uint8 is 255 where a pixel of `small` and `grey` counts, None: all do;
    the others are black. Tiles that would show any of what is left out are not there.
    """

    small: NDArray[np.uint8]
    grey: NDArray[np.uint8]
    tiles: NDArray[np.uint8]
    shape: tuple[int, int]
    detections: Detections
    thumbnail: Thumbnail
    previous: Thumbnail | None
    kept: NDArray[np.uint8] | None = None


def look(
    image: NDArray[np.uint8], detections: Detections, previous: Thumbnail | None, scope: Scope = WHOLE
) -> View:
    """Prepare `image`, (H, W, 3) uint8 BGR, for measuring; it is not written to."""
    small = shrink(image)
    shape = (int(image.shape[0]), int(image.shape[1]))
    kept = kept_cells(scope, shape[::-1], (small.shape[1], small.shape[0]))
    if kept is not None:
        small[~kept] = 0
    grey: NDArray[np.uint8] = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    return View(
        small=small,
        grey=grey,
        tiles=native_tiles(image, scope),
        shape=shape,
        detections=detections,
        thumbnail=Thumbnail(grey=cv2.blur(grey, (3, 3)), shape=shape, ignored=scope.ignored),
        previous=previous,
        kept=None if kept is None else kept.astype(np.uint8) * 255,
    )


def shrink(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy of about SMALL_PIXELS pixels and the same aspect; a smaller image is copied as it is.

    Picks single pixels at twice the target size, then averages 2 × 2 of them: averaging everything
    (INTER_AREA over the full frame) costs eleven times as much and moves none of the features noticeably.
    """
    height, width = image.shape[:2]
    scale = math.sqrt(SMALL_PIXELS / (height * width))
    if scale >= 1:
        copy: NDArray[np.uint8] = image.copy()
        return copy
    size = max(1, round(width * scale)), max(1, round(height * scale))
    double = min(2 * size[0], width), min(2 * size[1], height)
    picked = cv2.resize(image, double, interpolation=cv2.INTER_NEAREST)
    small: NDArray[np.uint8] = cv2.resize(picked, size, interpolation=cv2.INTER_AREA)
    return small


def native_tiles(image: NDArray[np.uint8], scope: Scope = WHOLE) -> NDArray[np.uint8]:
    """(n, t, t) uint8 grey tiles on an even grid; t is TILE, or the shorter side where that is less."""
    height, width = image.shape[:2]
    side = min(TILE, height, width)
    corners = tile_corners(height, width, side, scope)
    if not corners:
        return np.empty((0, side, side), dtype=np.uint8)
    mosaic = np.empty((len(corners) * side, side, 3), dtype=np.uint8)
    for place, (top, left) in enumerate(corners):
        mosaic[place * side : (place + 1) * side] = image[top : top + side, left : left + side]
    grey: NDArray[np.uint8] = cv2.cvtColor(mosaic, cv2.COLOR_BGR2GRAY).reshape(-1, side, side)
    return grey


@lru_cache(maxsize=256)
def tile_corners(height: int, width: int, side: int, scope: Scope) -> tuple[tuple[int, int], ...]:
    """The upper left corners (top, left) of the tiles of a frame that show nothing of what `scope` leaves out."""
    tops = np.linspace(0, height - side, TILE_ROWS).astype(int).tolist()
    lefts = np.linspace(0, width - side, TILE_COLUMNS).astype(int).tolist()
    corners = [(top, left) for top in tops for left in lefts]
    kept = kept_parts(scope, (width, height), corners, side) if scope.ignored else [True] * len(corners)
    return tuple(corner for corner, counts in zip(corners, kept, strict=True) if counts)
