"""What the values of an output say: whether scores are scores, and boxes are boxes in the pixels of the input."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ALL_FIRE = 0.25
"""A share of anchors that score above the usual threshold: on no image does a detector find that many boxes."""

MANY = 100
"""Anchors from which on their values are statistics."""

_LOWEST, _HIGHEST = -0.01, 1.01  # of a score: half precision rounds


def bad_scores(scores: NDArray[Any]) -> str:
    """What is wrong with (n, classes) scores, "" where they are within 0..1 and few are high."""
    if scores.size == 0:
        return "it has no class scores"
    if wrong := bad_range(scores):
        return wrong
    firing = (scores > ALL_FIRE).mean(axis=0)
    if len(scores) >= MANY and float(firing.max()) > ALL_FIRE:
        column = int(firing.argmax())
        return (
            f"{firing[column]:.0%} of all boxes score high for class {column}: that is no class score, or the model is "
            "not trained"
        )
    return ""


def bad_range(scores: NDArray[Any]) -> str:
    """What is wrong with (n, classes) scores, "" where all that are numbers lie within 0..1."""
    known = np.nan_to_num(scores.astype(np.float32), nan=0.0)
    beyond = np.maximum(known.max(axis=0) - _HIGHEST, _LOWEST - known.min(axis=0))
    column = int(np.argmax(beyond))
    if beyond[column] <= 0:
        return ""
    return (
        f"the scores of class {column} reach from {known[:, column].min():.3g} to {known[:, column].max():.3g}, "
        "not within 0..1: angles, keypoints or raw logits"
    )


def bad_grid(boxes: NDArray[Any], size: tuple[int, int]) -> str:
    """What is wrong with (anchors, 4) boxes cx, cy, w, h of a whole grid in an input of (height, width)."""
    known = boxes[np.isfinite(boxes).all(axis=1)].astype(np.float32)
    if len(known) == 0 or len(known) < len(boxes) / 2:
        return "most of its boxes are no numbers" if len(boxes) else "it has no boxes"
    if is_normalised(known):
        return "its boxes lie within 0..1, not in pixels: export it without normalised boxes"
    if float(np.mean(known[:, 2:] < 0)) > 0.01:
        return "widths and heights are negative: its boxes are not decoded"
    height, width = size
    for column, side, axis in ((0, width, "wide"), (1, height, "high")):
        low, high = (float(value) for value in np.percentile(known[:, column], (5, 95)))
        if low > 0.4 * side or high < 0.6 * side or high > 1.5 * side:
            return f"its boxes lie from {low:.3g} to {high:.3g} in an image {side} pixels {axis}: they are not decoded"
    return ""


def bad_share(boxes: NDArray[np.float32]) -> str:
    """What is wrong with (n, 4) boxes that are shares of the image, "" where they lie within 0..1."""
    inside = is_normalised(boxes) and float(np.mean(boxes < -0.01)) <= 0.01
    return "" if inside else "its boxes are not within 0..1"


def is_normalised(boxes: NDArray[Any]) -> bool:
    """Whether (n, 4) boxes, however they are written, lie within 0..1 (a little beyond at the edges)."""
    return len(boxes) > 0 and float(np.percentile(np.abs(boxes), 99)) <= 2.0


def odd_boxes(boxes: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Which of (n, 4) xyxy boxes in pixels cannot be objects in an input of (height, width).

    Thinner than a pixel, more than half out of the image, or far larger than it.
    """
    height, width = size
    x1, y1, x2, y2 = boxes.T
    wide, high = x2 - x1, y2 - y1
    inside_x = np.minimum(x2, width) - np.maximum(x1, 0)
    inside_y = np.minimum(y2, height) - np.maximum(y1, 0)
    odd: NDArray[np.bool_] = (
        (wide < 1) | (high < 1) | (inside_x < wide / 2) | (inside_y < high / 2)
        | (wide > 2 * width) | (high > 2 * height)
    )  # fmt: skip
    return odd
