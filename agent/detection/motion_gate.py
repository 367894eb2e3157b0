"""The motion gate: which frames show nothing new, so that the model need not run on them.

A frame is compared with the last one that the model *ran on*, not with the one before it: what creeps is seen
as soon as it has come far enough. Light that changes everywhere alike (a cloud, the camera's exposure) is no
motion. A still scene is looked at again after `interval` seconds all the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.core.raster import kept_cells
from agent.core.types import Frame

WIDTH, HEIGHT = 96, 54  # cells of 20 x 20 pixels in a 1080p frame: a person in the middle distance covers ten
LEVELS = 10  # grey levels by which a cell must differ, beyond the light's change
NOISE = 5.0  # ... and by so many times the median cell: rain, grain and a coarse encoder move all cells
CELLS = 2  # so many cells make a motion; single ones blink where an encoder saves bits


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    cells: NDArray[np.int16]
    shape: tuple[int, ...]
    monotonic_ns: int


class MotionGate:
    """Remembers, for each camera, the last frame that passed. One thread at a time."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def passes(self, frame: Frame, interval: float) -> bool:
        """Whether the model should run on `frame`; `interval` in seconds, 0: always."""
        if interval <= 0:
            return True
        now, seen = (
            _Seen(_cells_of(frame), frame.image.shape, frame.monotonic_ns),
            self._seen.get(frame.camera),
        )
        if (
            seen is not None
            and seen.shape == now.shape
            and 0 <= now.monotonic_ns - seen.monotonic_ns < interval * 1e9
            and not moved(seen.cells, now.cells)
        ):
            return False
        self._seen[frame.camera] = now
        return True

    def remove(self, camera: str) -> None:
        """A camera that was removed leaves nothing behind."""
        self._seen.pop(camera, None)


def _cells_of(frame: Frame) -> NDArray[np.int16]:
    """The frame's cells; those that its scope leaves out never move."""
    height, width = frame.image.shape[:2]
    means, kept = cells(frame.image), kept_cells(frame.scope, (width, height), (WIDTH, HEIGHT))
    if kept is not None and kept.any():
        means[~kept] = int(np.median(means[kept]))
    return means


def cells(image: NDArray[np.uint8]) -> NDArray[np.int16]:
    """The image (H, W, 3) uint8 as (HEIGHT, WIDTH) int16 means of green, in grey levels.

    Every fourth pixel of a 1080p frame each way is enough to average (0.06 ms; all of them 0.8 ms).
    """
    step = max(1, min(image.shape[0] // (4 * HEIGHT), image.shape[1] // (4 * WIDTH)))
    green = np.ascontiguousarray(image[::step, ::step, 1])
    means: NDArray[np.int16] = cv2.resize(green, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(
        np.int16
    )
    return means


def moved(before: NDArray[np.int16], after: NDArray[np.int16]) -> bool:
    """Whether something is elsewhere in `after`; both as `cells` gives them."""
    change = after - before
    change = np.abs(change - int(np.median(change)))
    limit = max(LEVELS, NOISE * float(np.median(change)))
    return int(np.count_nonzero(change > limit)) >= CELLS
