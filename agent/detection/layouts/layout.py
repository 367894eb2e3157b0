"""What a layout is: which shapes and values it explains, and how its boxes are decoded."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

STRIDES = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32))
"""Pixels between the anchors of each grid: as trained, with a coarser grid (P6) or a finer one (P2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What is known of a model beside its output: of its metadata and config, and the input's (height, width).

    `classes` is 0, `end_to_end` False where nothing says it.
    """

    size: tuple[int, int]
    classes: int = 0
    end_to_end: bool = False

    def cells(self) -> frozenset[int]:
        """How many grid cells, hence anchors of one shape, a model may have on that input."""
        height, width = self.size
        return frozenset(
            sum(-(-height // stride) * -(-width // stride) for stride in strides) for strides in STRIDES
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidates:
    """Boxes above the threshold: (n, 4) float32 xyxy in input pixels, (n,) float32, (n,) int64; unordered."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.scores.shape[0])

    def of_classes(self, ids: Collection[int]) -> Candidates:
        """Those of some classes."""
        wanted = np.isin(self.class_ids, list(ids))
        return Candidates(
            boxes=self.boxes[wanted], scores=self.scores[wanted], class_ids=self.class_ids[wanted]
        )


def _nothing() -> Candidates:
    boxes, scores, ids = np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int64)
    for array in (boxes, scores, ids):
        array.flags.writeable = False
    return Candidates(boxes=boxes, scores=scores, class_ids=ids)


NO_CANDIDATES = _nothing()
"""Of an image that shows nothing, as most of a quiet camera do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One way to write boxes.

    `fits` says whether an output of one image, by its two sides, may be of this layout. `doubt` says what in the
    values of such an output speaks against it, "" where nothing does. `classes` is how many classes the sides
    declare, 0 where they do not. `decode` gives the candidates of one image, (rows, columns) float32 or float16, at
    an input of (height, width), above a threshold. `suppressed` is True where no box is left twice, `stretched` where
    the model was trained on images that are stretched to its input, not padded. `pairs` is as `decode`, but a box
    counts for each class that is above the threshold, as evaluations count it; None where that makes no difference.
    """

    name: str
    models: str
    expected: str
    fits: Callable[[tuple[int, int], ModelFacts], bool]
    doubt: Callable[[NDArray[Any], ModelFacts], str]
    classes: Callable[[tuple[int, int]], int]
    decode: Callable[[NDArray[Any], float, tuple[int, int]], Candidates]
    pairs: Callable[[NDArray[Any], float, tuple[int, int]], Candidates] | None = None
    suppressed: bool = False
    stretched: bool = False


def finite(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows without those of a half-precision model that overflowed."""
    return rows[np.isfinite(rows).all(axis=1)]


def class_pairs(boxes: NDArray[Any], scores: NDArray[Any], threshold: float) -> Candidates:
    """Candidates of boxes (n, 4) cx, cy, w, h and scores (n, classes): one a box and class above the threshold."""
    chosen, class_ids = np.nonzero(scores > threshold)
    rows = np.column_stack((boxes[chosen], scores[chosen, class_ids])).astype(np.float32)
    known = np.isfinite(rows).all(axis=1)
    found = candidates(rows[known], 4)
    return Candidates(
        boxes=found.boxes, scores=found.scores, class_ids=class_ids[known].astype(np.int64, copy=False)
    )


def candidates(rows: NDArray[np.float32], first_class: int) -> Candidates:
    """Candidates of rows (n, first_class + classes) that begin with cx, cy, w, h."""
    class_ids = rows[:, first_class:].argmax(axis=1)
    scores = rows[np.arange(len(rows)), first_class + class_ids]
    half = rows[:, 2:4] / 2
    boxes: NDArray[np.float32] = np.concatenate((rows[:, :2] - half, rows[:, :2] + half), axis=1)
    return Candidates(boxes=boxes, scores=scores, class_ids=class_ids.astype(np.int64, copy=False))
