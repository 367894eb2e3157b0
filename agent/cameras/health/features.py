"""Measures that health is judged by, taken from a small copy of a frame.

Two of them do not depend on the light. *Sharpness* of a block is its finest detail over the detail one octave coarser:
exposure, a veil of light and a change of contrast scale both alike, and a smooth gradient (glare, a vignette, the
lamp of
a camera) is in neither; defocus takes the finest first. *Contrast* is that coarser detail over the brightness (Weber's
fraction): the exposure scales both alike, fog takes the one and adds to the other.
"""

from __future__ import annotations

import math
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

NOISE_GAIN = 20.0  # of a Laplacian (4, -1, -1, -1, -1) in the variance of white noise: the sum of its squares
NOISE_CLEAR = 3.0  # detail must exceed the noise by so much: it is then known to a tenth
LEVEL_FLOOR = 2.0  # added to a brightness that is divided by: black is not exactly 0
ROWS_A_CELL = 6  # of the frame, at least, that a pixel of the small copy is the mean of; more tell no more
LEAST_HALVED = 4  # pixels each way of a cell of the small copy, from which on a frame is halved first
SMOOTH_STEP = 3  # pixels of the smoothed copy that are independent

Grey = NDArray[np.uint8]
Blocks = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class SmallImage:
    """A frame scaled down for its health.

    `grey` (90, 160) uint8 is its area mean, in which sensor noise is averaged away; `raw` (about 90 x 160)
    uint8 are single green pixels, in which it is kept; `size` the (width, height) of the frame. `kept` and `kept_raw`
    are the pixels of either that count, None: all; the others have the mean of these. `chroma` is how far colours
    differ, in levels: the largest distance of a block's mean colour from the median block's; NaN where unknown.
    """

    grey: Grey
    raw: Grey
    size: tuple[int, int]
    kept: Mask | None = None
    kept_raw: Mask | None = None
    chroma: float = math.nan


@dataclass(frozen=True, slots=True, eq=False)
class ImageMeasures:
    """What is measured in one sample.

    `dark`, `bright` are shares of pixels in 0..1, `depth` the range of brightness without its extremes and its
    noise, in
    levels (infinite where less than half is dark). Of each block (40,), in grey levels: `fine`, `mid` and `coarse`,
    the spread of its finest detail, of that
    between 1 and 5 pixels, and of its brightness; `level`, the mean. `noise` is an upper bound of the noise's standard
    deviation. `clear` (40,) are the blocks whose structure stands out from the noise. `edges` (40, 360) float32 is the
    frame without its lighting, each block's pixels less their mean.
    """

    dark: float
    bright: float
    depth: float
    detail: float
    noise: float
    fine: Blocks
    mid: Blocks
    coarse: Blocks
    level: Blocks
    clear: Mask
    edges: NDArray[np.float32]

    @property
    def sharpness(self) -> Blocks:
        """Of each block (40,): the finest detail, without the noise's share, over the next coarser."""
        signal = np.maximum(self.fine**2 - NOISE_GAIN * self.noise**2, 0.0)
        return np.asarray(np.sqrt(signal) / np.maximum(self.mid, 0.1), dtype=np.float32)

    @property
    def contrast(self) -> Blocks:
        """Of each block (40,): detail over brightness."""
        return np.asarray(self.mid / (self.level + LEVEL_FLOOR), dtype=np.float32)


SAME_PLACE = 2  # pixels of 160: a pole has so much play; a camera that was touched moves by more
LEAST_PEAK, PEAK_RATIO = 0.1, 1.2
BURNT_LEVEL = 235.0  # the mean of a block in which little is left to see
LEAST_DETAIL = 1.5  # levels: a plain wall has 0.4..1.2 by compression alone


def small_image(image: NDArray[np.uint8], scope: Scope = WHOLE) -> SmallImage:
    """The small copy of `image` (H, W, 3) uint8 BGR, without what `scope` leaves out."""
    height, width = image.shape[:2]
    step_y, step_x = max(1, height // HEIGHT), max(1, width // WIDTH)
    single = np.ascontiguousarray(image[step_y // 2 :: step_y, step_x // 2 :: step_x])
    raw = np.ascontiguousarray(single[..., 1])
    size = (width, height)
    kept = kept_cells(scope, size, (WIDTH, HEIGHT))
    kept_raw = kept_pixels(scope, size, (step_x, step_y))
    chroma = _chroma(single, kept_raw)
    return SmallImage(_levelled(_grey(image), kept), _levelled(raw, kept_raw), size, kept, kept_raw, chroma)


def _grey(image: NDArray[np.uint8]) -> Grey:
    """The area means of the frame's brightness."""
    # Grey first: the area mean of one plane costs a third of that of three.
    rows = image[:: max(1, image.shape[0] // HEIGHT // ROWS_A_CELL)]
    plane = cv2.cvtColor(rows, cv2.COLOR_BGR2GRAY)
    height, width = plane.shape
    if height >= LEAST_HALVED * HEIGHT and width >= LEAST_HALVED * WIDTH:
        # Halving first takes a third of the time (0.1 ms at 768x432): 0.2 levels off on average, more at hard edges.
        plane = cv2.resize(plane, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(plane, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _chroma(single: NDArray[np.uint8], kept: Mask | None) -> float:
    """How far the colours of blocks differ; a mean over a block has little noise. One colour cast over all is none."""
    colours = single.astype(np.float32)
    if kept is not None and kept.any():
        colours[~kept] = colours[kept].mean(axis=0)
    blue, green, red = cv2.split(cv2.resize(colours, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA))
    planes = []
    for difference in (blue - green, red - green):
        ordered = np.sort(difference, axis=None)
        planes.append(difference - (ordered[BLOCKS // 2 - 1] + ordered[BLOCKS // 2]) / 2)
    return float(np.hypot(*planes).max())


def _levelled(plane: Grey, kept: Mask | None) -> Grey:
    """The plane with the mean of what is kept in the place of the rest: no light, no edge, no motion of its own."""
    if kept is not None and kept.any():
        plane[~kept] = round(float(plane[kept].mean()))
    return plane


def measure(grey: Grey, kept: Mask | None = None, previous: Grey | None = None) -> ImageMeasures:
    """The figures of a small grey frame, of which the pixels `kept` count; `previous` is the one before it."""
    plane = grey.astype(np.float32)
    fine = _spread(np.asarray(cv2.Laplacian(grey, cv2.CV_32F, ksize=1), dtype=np.float32))
    dark = _share(grey <= DARK_LEVEL, kept)
    smooth = cv2.GaussianBlur(plane, (0, 0), 1.5)
    band = cv2.GaussianBlur(plane, (0, 0), 0.8) - cv2.GaussianBlur(plane, (0, 0), 5.0)
    mid, noise = _spread(band), _noise(grey, fine, previous)
    return ImageMeasures(
        dark=dark,
        bright=_share(grey >= BRIGHT_LEVEL, kept),
        depth=_depth(smooth) if dark >= 0.5 else math.inf,  # by day nobody asks
        detail=float(np.sqrt(np.mean(fine**2))),
        noise=noise,
        fine=fine,
        mid=mid,
        coarse=_spread(smooth),
        level=_means(plane),
        clear=np.asarray(mid >= max(LEAST_DETAIL, NOISE_CLEAR * noise), dtype=np.bool_),
        edges=_edges(band),
    )


def _noise(grey: Grey, fine: Blocks, previous: Grey | None) -> float:
    """An upper bound of the noise: the least of what is fine in a block, and of what changes in the median block."""
    lively = fine[fine > 0.05]  # not one that is under a mask, or burnt out
    spatial = ranked(lively, 0.1) / math.sqrt(NOISE_GAIN)
    if previous is None:
        return spatial
    change = _means(cv2.absdiff(grey, previous).astype(np.float32))
    # The mean difference of two normal numbers is 2/sqrt(pi) of their standard deviation.
    return min(spatial, ranked(change, 0.5) * math.sqrt(math.pi) / 2)


def _depth(smooth: NDArray[np.float32]) -> float:
    ordered = np.sort(smooth[::SMOOTH_STEP, ::SMOOTH_STEP], axis=None)
    return float(ordered[-2] - ordered[len(ordered) // 100])


def share_changed(one: Grey, other: Grey, levels: int, kept: Mask | None = None) -> float:
    """Share of pixels (of those `kept`) in 0..1 that differ by more than `levels`; 1 where the shapes differ."""
    if one.shape != other.shape:
        return 1.0
    return _share(np.asarray(cv2.absdiff(one, other) > levels), kept)


def _share(hits: Mask, kept: Mask | None) -> float:
    if kept is None:
        return int(np.count_nonzero(hits)) / hits.size
    return int(np.count_nonzero(hits & kept)) / max(1, int(np.count_nonzero(kept)))


def agreement(edges: NDArray[np.float32], background: NDArray[np.float32]) -> Blocks:
    """The correlation of the edges with the background's in each block (40,), -1..1; 0 in a block without edges."""
    product = np.einsum("ij,ij->i", edges, background)
    norm = np.einsum("ij,ij->i", edges, edges) * np.einsum("ij,ij->i", background, background)
    return np.asarray(product / np.sqrt(np.maximum(norm, 1e-9)), dtype=np.float32)


def displaced(edges: NDArray[np.float32], background: NDArray[np.float32], judged: Mask) -> bool:
    """Whether the edges in the blocks `judged` (40,) are those of another view than the background's.

    By their cross-correlation: where one fits the other it has its peak, whatever else has changed in the view. On
    real videos the peak at its place is 0.19 and more, and 1.2 to 3 times any other, under a web or beside a leaf;
    of a view that was shifted or turned by a tenth it is less than the others, or none is above 0.08.
    """
    one, other = (
        np.fft.rfft2(_untiled(np.where(judged[:, None], part, 0.0))) for part in (background, edges)
    )
    correlation = np.fft.irfft2(one.conj() * other, s=(HEIGHT, WIDTH)) / (WIDTH * HEIGHT)
    correlation = np.roll(correlation, (SAME_PLACE, SAME_PLACE), axis=(0, 1))
    near = correlation[: 2 * SAME_PLACE + 1, : 2 * SAME_PLACE + 1]
    here = float(near.max())
    near[:] = -1.0
    return here < max(LEAST_PEAK, PEAK_RATIO * float(correlation.max()))


def _edges(band: NDArray[np.float32]) -> NDArray[np.float32]:
    """Band-passed frame, clipped at its own median: no single strong edge decides, and each frame weighs the same."""
    scale = 9.0 * ranked(np.abs(band[::3, ::3]), 0.5) + 3.0
    tiles = _tiles(cv2.max(cv2.min(band * np.float32(1.0 / scale), 1.0), -1.0))
    tiles -= _row_means(tiles)
    return np.asarray(
        tiles / max(1e-6, math.sqrt(float(np.vdot(tiles, tiles)) / tiles.size)), dtype=np.float32
    )


def _row_means(tiles: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.reduce(tiles, 1, cv2.REDUCE_AVG), dtype=np.float32)


def _tiles(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """(90, 160) as (40 blocks, pixels of a block)."""
    tiles = plane.reshape(ROWS, HEIGHT // ROWS, COLUMNS, WIDTH // COLUMNS).transpose(0, 2, 1, 3)
    return np.asarray(tiles.reshape(BLOCKS, -1), dtype=np.float32)


def _untiled(tiles: NDArray[np.float32]) -> NDArray[np.float32]:
    """(40 blocks, pixels of a block) as (90, 160)."""
    plane = tiles.reshape(ROWS, COLUMNS, HEIGHT // ROWS, WIDTH // COLUMNS).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(plane.reshape(HEIGHT, WIDTH))


def _means(plane: NDArray[np.float32]) -> Blocks:
    return np.asarray(cv2.resize(plane, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA), np.float32).reshape(
        -1
    )


def _spread(plane: NDArray[np.float32]) -> Blocks:
    """The standard deviation in each block."""
    mean = _means(plane)
    return np.asarray(np.sqrt(np.maximum(_means(plane * plane) - mean * mean, 0.0)), dtype=np.float32)


def ranked(values: NDArray[np.float32], share: float) -> float:
    """The value that `share` (0..1) of the values are below; 0 for none. numpy's own takes a hundred microseconds."""
    return (
        float(np.sort(values, axis=None)[min(values.size - 1, int(share * values.size))])
        if values.size
        else 0.0
    )
