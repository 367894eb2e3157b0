"""Portraits: what some frames of a camera have in common, to see where in the view a change lies. Pure.

The drift's features are one number a frame; dirt, a cover, a knock or the blocks of a compression show in places,
directions and scales. The median over frames leaves out what passes through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.core.types import Image

WIDTH, HEIGHT = 96, 54
COLUMNS, ROWS = 8, 6
BLOCK = 8
"""Pixels of a block's side in JPEG and in most video codecs."""

ALONE = ("blocks", "lines", "diagonals", "fine", "middle", "coarse", "dark", "bright", "grain", "chroma")
TOGETHER = ("still", "flicker")
PLACES = ("detail_spread", "detail_lowest", "light_spread", "likeness", "moved_gain")
TRAITS = (*ALONE, *TOGETHER, *PLACES)
"""What a comparison of two portraits gives: of each frame alone, of the frames together, of places in the view."""

_TURNS = (-20.0, -14.0, -8.0, -4.0, 0.0, 4.0, 8.0, 14.0, 20.0)
_ZOOMS = (0.75, 0.87, 1.0, 1.15, 1.35, 1.6)
_FLOOR = 0.3  # levels squared: rounding alone has as much
_EVERY = 4  # pixels: of the fine detail so much is enough

ABOUT = 0.05
"""Of a side: less is no other size. Detail of one pixel then has one pixel still."""

Size = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameLook:
    """One frame, in 50 kB: `alone` (10,) in the order of ALONE, `detail` (ROWS, COLUMNS) the logarithm of the
    gradients' energy in each part of the view, `view` (HEIGHT, WIDTH) float32 grey, `fine` (h, w) int16 Laplacian;
    `size` of the frame, (width, height) in pixels."""

    size: Size
    alone: NDArray[np.float64]
    detail: NDArray[np.float64]
    view: NDArray[np.float32]
    fine: NDArray[np.int16]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Portrait:
    """Medians over frames: `scalars` (12,), in the order of ALONE and TOGETHER; the rest is as of a `FrameLook`."""

    size: Size
    scalars: NDArray[np.float64]
    detail: NDArray[np.float64]
    view: NDArray[np.float32]

    def comparable(self, size: Size) -> bool:
        """Whether frames of another size show detail at about the same scale."""
        ratios = (one / other for one, other in zip(size, self.size, strict=True))
        return all(abs(ratio - 1) <= ABOUT for ratio in ratios)


def look_at(image: Image) -> FrameLook:
    """The look of an image (H, W, 3) uint8 BGR; some 10 ms for 640 x 360."""
    grey8 = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    grey = grey8.astype(np.float32)
    across, down = np.diff(grey, axis=1), np.diff(grey, axis=0)
    energy = np.square(across[:-1]) + np.square(down[:, :-1])
    levels = cv2.resize(grey, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return FrameLook(
        size=(grey.shape[1], grey.shape[0]),
        alone=np.concatenate([_textures(grey, across, down), _levels(image, levels, grey8)]),
        detail=np.log(_cells(energy) + _FLOOR),
        view=np.asarray(levels),
        fine=np.asarray(cv2.Laplacian(grey8, cv2.CV_16S)[::_EVERY, ::_EVERY].copy(), dtype=np.int16),
    )


def portrait(looks: Sequence[FrameLook]) -> Portrait:
    """The portrait of at least one look, all of frames of one size."""
    return Portrait(
        size=looks[0].size,
        scalars=np.concatenate([np.median([one.alone for one in looks], axis=0), _over_time(looks)]),
        detail=np.median([one.detail for one in looks], axis=0),
        view=np.median([one.view for one in looks], axis=0).astype(np.float32),
    )


class PortraitComparison:
    """Compares portraits with one, `then`."""

    def __init__(self, then: Portrait) -> None:
        self.then = then
        self._edges = _edges(then.view)
        self._moved = [_moved(then.view, turn, zoom) for turn in _TURNS for zoom in _ZOOMS]

    def __call__(self, now: Portrait) -> NDArray[np.float64]:
        """What differs, by TRAITS (17,); `likeness` is that of the views less 1. Some 10 ms."""
        then = self.then
        ratio = now.detail - then.detail
        middle = float(np.median(ratio))
        edges = _edges(now.view)
        likeness = _alike(edges, self._edges)
        places = [
            float(np.median(np.abs(ratio - middle))) * 1.48,
            float(np.percentile(ratio, 8)) - middle,
            _unevenness(now.view, then.view),
            likeness - 1.0,
            max(_fit(edges, part) for part in self._moved) - likeness,
        ]
        return np.concatenate([now.scalars - then.scalars, places])


# -- of one frame -------------------------------------------------------------------------------------------


def _textures(
    grey: NDArray[np.float32], across: NDArray[np.float32], down: NDArray[np.float32]
) -> list[float]:
    """Blocks, directions and scales: logarithms of ratios and of energies."""
    half = _halved(grey)
    rising, falling = grey[1:, 1:] - grey[:-1, :-1], grey[1:, :-1] - grey[:-1, 1:]
    return [
        float(np.log(_blocks(across) * _blocks(down.T)) / 2),
        float(np.log(_energy(across) / _energy(down)) / 2),
        float(np.log(_energy(rising) / _energy(falling)) / 2),
        *(float(np.log(_energy(cv2.Laplacian(each, cv2.CV_32F)))) for each in (grey, half, _halved(half))),
    ]


def _levels(image: Image, levels: NDArray[np.float32], grey: Image) -> list[float]:
    """The darkest and brightest parts in sixteenths of levels, the grain and the colours."""
    dark, bright = np.percentile(levels, (3, 97)) / 16.0
    away = np.abs(grey.astype(np.float32) - cv2.medianBlur(grey, 3))
    grain = float(np.percentile(_cells(away, 4), 20)) + 0.1
    small = cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.float32)
    chroma = float((small.max(axis=2) - small.min(axis=2)).mean()) + 0.5
    return [float(dark), float(bright), float(np.log(grain)), float(np.log(chroma))]


def _halved(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    size = max(1, grey.shape[1] // 2), max(1, grey.shape[0] // 2)
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA))


def _energy(values: NDArray[np.float32]) -> float:
    return float(np.square(values).mean()) + _FLOOR


def _blocks(steps: NDArray[np.float32]) -> float:
    """How much larger steps (H, W) across the borders of blocks are than those between."""
    sizes = np.abs(steps).mean(axis=0)
    at_border = np.arange(sizes.size) % BLOCK == BLOCK - 1
    if not at_border.any():
        return 1.0
    return float((sizes[at_border].mean() + _FLOOR) / (sizes[~at_border].mean() + _FLOOR))


def _cells(values: NDArray[np.float32], finer: int = 1) -> NDArray[np.float64]:
    """The means of the parts of an array, (ROWS, COLUMNS)."""
    size = COLUMNS * finer, ROWS * finer
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), dtype=np.float64)


# -- of several frames --------------------------------------------------------------------------------------


def _over_time(looks: Sequence[FrameLook]) -> NDArray[np.float64]:
    """Logarithms of the fine detail that stays where it is, and of that which comes and goes: dirt, and noise."""
    fine = np.array([one.fine for one in looks], dtype=np.float32)
    stays = np.median(fine, axis=0)
    flicker = _cells(np.median(np.abs(fine - stays), axis=0), 4)
    return np.log([float(np.square(stays).mean()) + _FLOOR, float(np.percentile(flicker, 30)) + 0.1])


# -- of two views -------------------------------------------------------------------------------------------


def _unevenness(now: NDArray[np.float32], then: NDArray[np.float32]) -> float:
    """What is left of the light in the parts of the view after the best line from then to now, in levels / 16."""
    light, before = (_cells(view).ravel() for view in (now, then))
    slope, level = np.polyfit(before, light, 1) if before.std() > 1 else (1.0, 0.0)
    return float((light - slope * before - level).std()) / 16.0


def _edges(view: NDArray[np.float32]) -> NDArray[np.float32]:
    """What remains of a view without its light, of the same strength everywhere."""
    fine = cv2.GaussianBlur(view, (0, 0), 1.0) - cv2.GaussianBlur(view, (0, 0), 4.0)
    strength = np.sqrt(cv2.GaussianBlur(fine * fine, (0, 0), 8.0)) + 1.0
    return np.asarray(fine / strength, dtype=np.float32)


def _alike(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    inner = np.s_[5:-5, 9:-9]
    a, b = first[inner].ravel(), second[inner].ravel()
    return float((a @ b) / np.sqrt((a @ a) * (b @ b) + 1e-9))


def _moved(view: NDArray[np.float32], turn: float, zoom: float) -> NDArray[np.float32]:
    """The edges of a view's middle after it was turned and zoomed."""
    matrix = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), turn, zoom)
    turned = cv2.warpAffine(view, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT_101)
    return np.ascontiguousarray(_edges(np.asarray(turned))[12:-12, 22:-22])


def _fit(edges: NDArray[np.float32], part: NDArray[np.float32]) -> float:
    """The best likeness of a part of a view anywhere in another, -1..1; 0 in a flat one."""
    best = float(cv2.matchTemplate(edges, part, cv2.TM_CCOEFF_NORMED).max())
    return best if np.isfinite(best) and abs(best) <= 1.0 else 0.0
