"""Features of the boxes: how many, how big, of what shape, where."""

from __future__ import annotations

import math

import numpy as np

from agent.features.definition import Family, Feature
from agent.features.view import View


def measure(view: View) -> tuple[float, ...]:
    """The numbers of FAMILY's features, in order.

    Boxes are cut at the picture's edge first; those of no area left count, but have no shape.
    """
    height, width = view.shape
    boxes = view.detections.boxes.astype(np.float64)
    count = float(len(boxes))
    limits = np.array([width, height, width, height])
    boxes = np.clip(boxes, 0, limits) / limits
    sides = boxes[:, 2:] - boxes[:, :2]
    solid = np.isfinite(sides).all(axis=1) & (sides > 0).all(axis=1)
    if not solid.any():
        return count, math.nan, math.nan, math.nan, math.nan, math.nan
    sides, centres = sides[solid], (boxes[solid, :2] + boxes[solid, 2:]) / 2
    middle = centres.mean(axis=0)
    return (
        count,
        float(np.sqrt(sides.prod(axis=1)).mean()),
        float(np.log(sides[:, 0] * width / (sides[:, 1] * height)).mean()),
        float(middle[0]),
        float(middle[1]),
        float(np.sqrt(np.square(centres - middle).sum(axis=1).mean())) if len(centres) > 1 else math.nan,
    )


FAMILY = Family(
    "boxes",
    (
        Feature("boxes_per_frame", "count", "Boxes in the frame."),
        Feature("box_size", "ratio", "Mean of sqrt(box area / picture area). NaN without boxes."),
        Feature("box_aspect", "ln", "Mean of ln(width / height), < 0 for upright ones. NaN without boxes."),
        Feature("box_x", "ratio", "Mean centre, 0 at the left edge, 1 at the right. NaN without boxes."),
        Feature("box_y", "ratio", "Mean centre, 0 at the top, 1 at the bottom. NaN without boxes."),
        Feature("box_spread", "ratio", "RMS distance of centres from their mean. NaN below two boxes."),
    ),
    measure,
)
