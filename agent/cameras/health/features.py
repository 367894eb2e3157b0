"""Measures that health is judged by, taken from a small copy of a frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.core.raster import kept_cells, kept_pixels
from agent.core.scope import WHOLE, Scope

WIDTH, HEIGHT = 160, 90
ROWS, COLUMNS = 5, 8  # blocks of 20x18 pixels: about as large as a person in the middle distance
BLOCKS = ROWS * COLUMNS
DARK_LEVEL = 24  # limited-range black is 16, and encoders ripple around it
BRIGHT_LEVEL = 250

Grey = NDArray[np.uint8]
Blocks = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class SmallImage:
    """A frame scaled down for its health.

    `grey` (90, 160) uint8 is its area mean, in which sensor noise is averaged away; `raw` (about 90 x 160)
    uint8 are single green pixels, in which it is kept; `size` the (width, height) of the frame. `kept` and `kept_raw`
    are the pixels of either that count, None: all; the others have the mean of these.
    """

    grey: Grey
    raw: Grey
    size: tuple[int, int]
    kept: Mask | None = None
    kept_raw: Mask | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ImageMeasures:
    """What is measured in one sample.

    `dark`, `bright` are shares of pixels in 0..1; `fine` (40,) and `coarse` (40,) the spread of detail and of
    brightness in each block, in grey levels; `edges` (90, 160) float32 the frame without its lighting.
    """

    dark: float
    bright: float
    detail: float
    fine: Blocks
    coarse: Blocks
    edges: NDArray[np.float32]


def small_image(image: NDArray[np.uint8], scope: Scope = WHOLE) -> SmallImage:
    """The small copy of `image` (H, W, 3) uint8 BGR, without what `scope` leaves out."""
    height, width = image.shape[:2]
    # Grey first: the area mean of one plane costs a third of that of three.
    small = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    step_y, step_x = max(1, height // HEIGHT), max(1, width // WIDTH)
    raw = np.ascontiguousarray(image[step_y // 2 :: step_y, step_x // 2 :: step_x, 1])
    size = (width, height)
    kept = kept_cells(scope, size, (WIDTH, HEIGHT))
    kept_raw = kept_pixels(scope, size, (step_x, step_y))
    grey = np.asarray(small, dtype=np.uint8)
    return SmallImage(_levelled(grey, kept), _levelled(raw, kept_raw), size, kept, kept_raw)


def _levelled(plane: Grey, kept: Mask | None) -> Grey:
    """The plane with the mean of what is kept in the place of the rest: no light, no edge, no motion of its own."""
    if kept is not None and kept.any():
        plane[~kept] = round(float(plane[kept].mean()))
    return plane


def measure(grey: Grey, kept: Mask | None = None) -> ImageMeasures:
    """The figures of a small grey frame, of which the pixels `kept` count."""
    fine = cv2.Laplacian(grey, cv2.CV_32F, ksize=1)
    smooth = cv2.GaussianBlur(grey, (0, 0), 1.5).astype(np.float32)
    return ImageMeasures(
        dark=_share(grey <= DARK_LEVEL, kept),
        bright=_share(grey >= BRIGHT_LEVEL, kept),
        detail=float(fine.std()),
        fine=_spread(np.asarray(fine, dtype=np.float32)),
        coarse=_spread(smooth),
        edges=_edges(grey),
    )


def share_changed(one: Grey, other: Grey, levels: int, kept: Mask | None = None) -> float:
    """Share of pixels (of those `kept`) in 0..1 that differ by more than `levels`; 1 where the shapes differ."""
    if one.shape != other.shape:
        return 1.0
    return _share(np.asarray(cv2.absdiff(one, other) > levels), kept)


def _share(hits: Mask, kept: Mask | None) -> float:
    if kept is None:
        return int(np.count_nonzero(hits)) / hits.size
    return int(np.count_nonzero(hits & kept)) / max(1, int(np.count_nonzero(kept)))


def likeness(edges: NDArray[np.float32], background: NDArray[np.float32]) -> float:
    """How much the edges agree with the background's: the median over blocks of their correlation, -1..1.

    The median, since a passing car or a crowd changes some blocks, and a view that moved changes them all.
    """
    one, other = _centred(edges), _centred(background)
    product = (one * other).sum(axis=1)
    known = (other * other).sum(axis=1)
    norm = np.sqrt((one * one).sum(axis=1) * known)
    agreement = (product / np.maximum(norm, 1e-6))[known > 0]  # a block under a mask has no edges
    return float(np.median(agreement)) if agreement.size else 0.0


def _edges(grey: Grey) -> NDArray[np.float32]:
    """Band-passed frame, scaled by its own median and clipped: no single strong edge decides."""
    level = grey.astype(np.float32)
    band = cv2.GaussianBlur(level, (0, 0), 0.8) - cv2.GaussianBlur(level, (0, 0), 5.0)
    scale = 9.0 * float(np.median(np.abs(band))) + 3.0
    return np.asarray(np.clip(band / scale, -1.0, 1.0), dtype=np.float32)


def _tiles(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """(90, 160) as (40 blocks, pixels of a block)."""
    tiles = plane.reshape(ROWS, HEIGHT // ROWS, COLUMNS, WIDTH // COLUMNS).transpose(0, 2, 1, 3)
    return np.asarray(tiles.reshape(BLOCKS, -1), dtype=np.float32)


def _spread(plane: NDArray[np.float32]) -> Blocks:
    return np.asarray(_tiles(plane).std(axis=1), dtype=np.float32)


def _centred(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    tiles = _tiles(plane)
    return np.asarray(tiles - tiles.mean(axis=1, keepdims=True), dtype=np.float32)
