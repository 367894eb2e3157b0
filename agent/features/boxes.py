"""Features of the boxes: how many, how big, of what shape, where."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.features.definition import Family, Feature
from agent.features.view import View


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoxShapes:
    """`count` boxes, of which those with an area have `sides` and `centres` (n, 2), in parts of the frame's.

    Boxes are cut at the frame's edge first. `middle` (x, y) is the mean centre, NaN without any; `shape` is the
    frame's (H, W).
    """

    count: int
    sides: NDArray[np.float64]
    centres: NDArray[np.float64]
    middle: NDArray[np.float64]
    shape: tuple[int, int]


def prepare(view: View) -> BoxShapes:
    """The frame's boxes as sides and centres."""
    height, width = view.shape
    limits = np.array([width, height, width, height])
    boxes = np.clip(view.detections.boxes.astype(np.float64), 0, limits) / limits
    sides = boxes[:, 2:] - boxes[:, :2]
    solid = np.isfinite(sides).all(axis=1) & (sides > 0).all(axis=1)
    centres = (boxes[solid, :2] + boxes[solid, 2:]) / 2
    middle = centres.mean(axis=0) if len(centres) else np.full(2, np.nan)
    return BoxShapes(count=len(boxes), sides=sides[solid], centres=centres, middle=middle, shape=view.shape)


def size(boxes: BoxShapes) -> float:
    """Mean of sqrt(box area / frame area)."""
    return _mean(np.sqrt(boxes.sides.prod(axis=1)))


def aspect(boxes: BoxShapes) -> float:
    """Mean of ln(width / height), in pixels."""
    height, width = boxes.shape
    return _mean(np.log(boxes.sides[:, 0] * width / (boxes.sides[:, 1] * height)))


def spread(boxes: BoxShapes) -> float:
    """Root mean square of the centres' distance from their mean; NaN below two boxes."""
    if len(boxes.centres) < 2:
        return math.nan
    return float(np.sqrt(np.square(boxes.centres - boxes.middle).sum(axis=1).mean()))


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else math.nan


FAMILY = Family(
    "boxes",
    prepare,
    (
        Feature("boxes_per_frame", "count", "Boxes in the frame.", lambda boxes: float(boxes.count)),
        Feature("box_size", "ratio", "Mean of sqrt(box area / frame area). NaN without boxes.", size),
        Feature(
            "box_aspect", "ln", "Mean of ln(width / height), < 0 for upright ones. NaN without boxes.", aspect
        ),
        Feature(
            "box_x",
            "ratio",
            "Mean centre, 0 at the left edge, 1 at the right. NaN without boxes.",
            lambda boxes: float(boxes.middle[0]),
        ),
        Feature(
            "box_y",
            "ratio",
            "Mean centre, 0 at the top, 1 at the bottom. NaN without boxes.",
            lambda boxes: float(boxes.middle[1]),
        ),
        Feature(
            "box_spread", "ratio", "RMS distance of centres from their mean. NaN below two boxes.", spread
        ),
    ),
)
