"""Which boxes of one image are right: matched to the labels, best score first.

As Ultralytics 8.4 does (`engine/validator.py: match_predictions`): at each threshold a box takes the label of its
class that it overlaps most and that no better box has taken. By size as COCO does: labels of other sizes, and what
matches them or matches nothing and is of another size itself, count neither way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.detection.nms import overlap

THRESHOLDS: NDArray[np.float64] = np.linspace(0.5, 0.95, 10)
"""Intersection over union from which on a box is right: COCO's ten."""

SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, np.inf)}
"""COCO's: the area of a box in pixels of the image."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Boxes:
    """Boxes (n, 4) float32 xyxy of one scale and their `classes` (n,) int64; `areas` in pixels of the image."""

    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]
    areas: NDArray[np.float32]


class Matching:
    """Boxes found in one image, ordered by falling score, against its labels."""

    def __init__(self, found: Boxes, labels: Boxes) -> None:
        self._found, self._labels = found, labels
        self._ious = _overlaps(found, labels)

    def right(self) -> NDArray[np.bool_]:
        """(n, 10): whether each box is right at each threshold."""
        return _take(self._ious)

    def of_size(self, size: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
        """Of one of `SIZES`: (labels,) which labels are of it, (n, 10) which boxes are right, (n, 10) which count."""
        low, high = SIZES[size]
        wanted, fits = ((one.areas >= low) & (one.areas < high) for one in (self._labels, self._found))
        right = _take(self._ious[wanted])
        other = _take(np.where(right.any(axis=1), 0.0, self._ious[~wanted]))
        return wanted, right, right | (~other & fits[:, None])


def _overlaps(found: Boxes, labels: Boxes) -> NDArray[np.float64]:
    """(labels, n) intersection over union, 0 between different classes."""
    same = labels.classes[:, None] == found.classes[None, :]
    return np.where(same, overlap(labels.boxes, found.boxes), 0.0).astype(np.float64)


def _take(ious: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(n, 10): which boxes take a label at each threshold, given (labels, n) overlaps."""
    count, boxes = ious.shape
    right = np.zeros((boxes, len(THRESHOLDS)), dtype=np.bool_)
    taken = np.zeros((count, len(THRESHOLDS)), dtype=np.bool_)
    columns = np.arange(len(THRESHOLDS))
    for box in np.flatnonzero((ious >= THRESHOLDS[0]).any(axis=0)) if count else ():
        free = np.where(taken, 0.0, ious[:, box, None])
        best = free.argmax(axis=0)
        right[box] = free[best, columns] >= THRESHOLDS
        taken[best, columns] |= right[box]
    return right
