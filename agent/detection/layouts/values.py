"""What the values of an output say: whether scores are scores, and boxes are boxes in the pixels of the input."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.detection.layouts.layout import STRIDES

ALL_FIRE = 0.25
"""A share of anchors that score above the usual threshold: on no image does a detector find that many boxes."""

MANY = 100
"""Anchors from which on their values are statistics."""

ALIKE = 0.8
"""A correlation from which on two columns say the same: the centres of boxes and the anchors that they belong to have
0.98 and more, the sides of boxes and their places 0.0 to 0.14 (YOLO11n on the trial image, three sizes)."""

_SCALES = (0.7, 1.12)
"""Of the slope of boxes over anchors, beyond which they are scaled: of YOLO11n on 320 to 640 pixels it is 0.97 to 1.00,
on 160 0.83, as boxes end where the image does."""

NEARLY_ALL = (
    0.97  # of the boxes: no class is the likeliest of that many, no centre lies left of so many anchors
)

FEWEST = 8
"""Rows of a short list from which on what they have in common is no chance."""

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
            f"{firing[column]:.0%} of all boxes score high for class {column}: that is not a class score, or the model "
            "is not trained"
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
        return "most of its boxes are not numbers" if len(boxes) else "it has no boxes"
    if is_normalised(known):
        return "its boxes lie within 0..1, not in pixels: export it without normalised boxes"
    if float(np.mean(known[:, 2:] < 0)) > 0.01:
        return "widths and heights are negative: its boxes are not decoded"
    height, width = size
    for column, side, axis in ((0, width, "wide"), (1, height, "high")):
        low, high = (float(value) for value in np.percentile(known[:, column], (5, 95)))
        if low > 0.4 * side or high < 0.6 * side or high > 1.5 * side:
            return f"its boxes lie from {low:.3g} to {high:.3g} in an image {side} pixels {axis}: they are not decoded"
    return _bad_centres(boxes, size)


def _bad_centres(boxes: NDArray[Any], size: tuple[int, int]) -> str:
    """What shows that (anchors, 4) boxes do not begin with their centre x, y."""
    known = np.isfinite(boxes).all(axis=1)
    x, y, wide, high = boxes[known].T.astype(np.float32)
    if len(x) < MANY:
        return ""
    if _alike(x, wide) and _alike(y, high):
        return "its boxes are corners (x1, y1, x2, y2); expected centre, width and height"
    anchors = _anchors(len(boxes), size)
    if anchors is None:
        return ""
    across, down = anchors[known].T
    if _alike(x, down) and _alike(y, across):
        return "x and y of its boxes are exchanged"
    if _alike(-x, across) or _alike(-y, down):
        return "its boxes are mirrored"
    if not (_alike(x, across) and _alike(y, down)):
        return ""  # in another order
    scale = max(_slope(across, x), _slope(down, y), key=lambda slope: abs(slope - 1))
    if not _SCALES[0] < scale < _SCALES[1]:
        return f"its boxes are {scale:.2f} times as far apart as its grid's cells: they are of another size of input"
    if min(_left_of(x, across, wide), _left_of(y, down, high)) > NEARLY_ALL:
        return "its boxes begin with their upper left corner; expected their centre, width and height"
    return ""


def _slope(anchors: NDArray[np.float32], places: NDArray[np.float32]) -> float:
    """How far places move for a pixel that their anchors do (least squares)."""
    centred = anchors - anchors.mean()
    return float((centred * places).sum() / max(float((centred * centred).sum()), 1e-6))


def _left_of(places: NDArray[np.float32], anchors: NDArray[np.float32], sides: NDArray[np.float32]) -> float:
    """The share of boxes that begin before their anchor, 0 where they begin at it but for a bias: a centre does."""
    ahead = anchors - places
    return float(np.mean(ahead >= 0)) if float(np.median(ahead / np.maximum(sides, 1e-3))) > 0.25 else 0.0


def _alike(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    if min(float(one.std()), float(other.std())) < 1e-6:
        return False
    return bool(np.corrcoef(one, other)[0, 1] > ALIKE)


def _anchors(count: int, size: tuple[int, int]) -> NDArray[np.float32] | None:
    """The anchors' x and y, (count, 2), in the order of YOLO's grids; None where `count` is of no such grid."""
    for strides in STRIDES:
        grids = []
        for stride in strides:
            rows, columns = (-(-side // stride) for side in size)
            y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
            grids.append((np.stack((x, y), axis=-1).reshape(-1, 2) + 0.5) * stride)
        for shapes in (1, 3):  # anchors of each cell: of one grid each comes whole before the next
            if count == shapes * sum(map(len, grids)):
                return np.concatenate([np.tile(grid, (shapes, 1)) for grid in grids])
    return None


def objectness_first(scores: NDArray[Any]) -> str:
    """What is wrong with (n, classes) scores of which the first is no class, "" where nothing shows it."""
    if scores.shape[1] > 2 and np.mean(scores.argmax(axis=1) == 0) > NEARLY_ALL:
        return "its first score is the highest nearly everywhere: an objectness, as YOLOX has"
    return ""


def bad_share(boxes: NDArray[np.float32]) -> str:
    """What is wrong with (n, 4) boxes that are shares of the image, "" where they lie within 0..1."""
    if not is_normalised(boxes) or float(np.mean(boxes < -0.01)) > 0.01:
        return "its boxes are not within 0..1"
    if len(boxes) >= FEWEST and float(np.mean((boxes[:, 2:] >= boxes[:, :2]).all(axis=1))) > NEARLY_ALL:
        return "its boxes are corners (x1, y1, x2, y2) in 0..1; expected centre, width and height"
    return ""


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
