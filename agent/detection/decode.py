"""Turn a model's raw output into candidate boxes, for every layout that Ultralytics' detectors have.

========== ===================== =============================== ===========================================
layout     one image           models                          a column or row holds
========== ===================== =============================== ===========================================
channels   (4 + classes, A)      YOLOv8, v9, 11, 12, ...         cx, cy, w, h, a score for each class
rows       (A, 5 + classes)      YOLOv5 (yolov5 repository), v7  cx, cy, w, h, objectness, class scores
end2end    (N, 6)                YOLOv10, 26, exports with nms   x1, y1, x2, y2, score, class; no NMS needed
========== ===================== =============================== ===========================================

The confidence threshold comes first, on the raw array: of some 8,400 boxes a handful survives, and only those
are copied. As in Ultralytics a box counts once, for its best class, and must score *above* the threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core.errors import ModelError


class BoxLayout(str, Enum):
    """How a detector writes its boxes."""

    CHANNELS = "channels"
    ROWS = "rows"
    END_TO_END = "end2end"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidates:
    """Boxes above the threshold: (n, 4) float32 xyxy in input pixels, (n,) float32, (n,) int64; unordered."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.scores.shape[0])


# What an output looks like that belongs to another task, said in the error.
_OTHER_TASKS = {
    "classify": "a classification model",
    "segment": "a segmentation model",
    "semantic": "a segmentation model",
    "pose": "a pose model",
    "obb": "a model of rotated boxes (obb)",
    "depth": "a depth model",
}


def recognise(
    shapes: Sequence[tuple[int, ...]],
    *,
    classes: int,
    task: str = "",
    end_to_end: bool = False,
    rows_anchors: int = 0,
) -> BoxLayout:
    """The layout of a model whose outputs, run on one image, have `shapes`; the first is the boxes.

    `classes`, `task` and `end_to_end` are from the metadata (0, "" and False where it has none);
    `rows_anchors` is how many boxes a YOLOv5 makes of that image: it tells a one-class YOLOv5 (A, 6) from
    an end-to-end output. Raises ModelError, saying what the model seems to be, if it is no detector.
    """
    if task not in ("", "detect"):
        raise ModelError(f"is {_OTHER_TASKS.get(task, f'a model for {task!r}')}, not a detector")
    if not shapes:
        raise ModelError("has no output")
    shape = shapes[0]
    if len(shape) == 2:
        raise ModelError(f"is a classification model (output {list(shape)}), not a detector")
    if any(len(other) == 4 for other in shapes[1:]):
        raise ModelError("is a segmentation model (an output of masks), not a detector")
    if len(shape) != 3:
        raise ModelError(f"is no detector that is known: output of shape {list(shape)}")
    if end_to_end:
        if shape[2] != 6:
            raise ModelError(f"says end2end, but its output is {list(shape)}; expected (batch, boxes, 6)")
        return BoxLayout.END_TO_END
    return _layout_of(shape[1], shape[2], classes, rows_anchors)


def _layout_of(first: int, last: int, classes: int, rows_anchors: int) -> BoxLayout:
    if classes and first == 4 + classes:
        return BoxLayout.CHANNELS
    if last == 6 and not (classes == 1 and first == rows_anchors):
        return BoxLayout.END_TO_END
    if classes and last == 5 + classes:
        return BoxLayout.ROWS
    if classes:
        raise ModelError(
            f"has {classes} class names, but its output is (batch, {first}, {last}); "
            f"expected (batch, {4 + classes}, boxes), (batch, boxes, {5 + classes}) or (batch, boxes, 6)"
        )
    if 5 <= first < last:
        return BoxLayout.CHANNELS
    if 6 <= last < first:
        return BoxLayout.ROWS
    raise ModelError(f"is no detector that is known: output (batch, {first}, {last})")


def count_classes(shape: tuple[int, ...], layout: BoxLayout) -> int:
    """How many classes an output of `shape` has; 0 where it does not say (end to end)."""
    return {BoxLayout.CHANNELS: shape[1] - 4, BoxLayout.ROWS: shape[2] - 5, BoxLayout.END_TO_END: 0}[layout]


def decode(output: NDArray[Any], layout: BoxLayout, threshold: float) -> Candidates:
    """Candidates of one image's `output` (two-dimensional, float32 or float16) above `threshold`."""
    pick = {
        BoxLayout.CHANNELS: _from_channels,
        BoxLayout.ROWS: _from_rows,
        BoxLayout.END_TO_END: _from_end_to_end,
    }
    return pick[layout](output, threshold)


def _from_channels(output: NDArray[Any], threshold: float) -> Candidates:
    best = _largest_score(output[4:])
    chosen = np.flatnonzero(best > threshold)
    return _candidates(_finite(output[:, chosen].T.astype(np.float32)), 4)


def _from_rows(output: NDArray[Any], threshold: float) -> Candidates:
    # objectness first: the product with a class score cannot be larger
    rows = _finite(output[np.flatnonzero(output[:, 4] > threshold)].astype(np.float32))
    rows[:, 5:] *= rows[:, 4:5]
    return _candidates(rows[rows[:, 5:].max(axis=1, initial=0) > threshold], 5)


def _from_end_to_end(output: NDArray[Any], threshold: float) -> Candidates:
    rows = _finite(output[output[:, 4] > threshold].astype(np.float32))
    return Candidates(boxes=rows[:, :4], scores=rows[:, 4], class_ids=rows[:, 5].astype(np.int64))


def _finite(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows without those of a half-precision model that overflowed."""
    return rows[np.isfinite(rows).all(axis=1)]


def _largest_score(scores: NDArray[Any]) -> NDArray[np.float32]:
    """The best class score of each box, (classes, A) to (A,).

    numpy reduces float16 fifty times slower than float32. Scores are not negative, and the bit patterns of
    such half floats are ordered as whole numbers are (IEEE 754): compare those.
    """
    if scores.dtype == np.float16 and scores.flags.c_contiguous:
        best: NDArray[np.float32] = scores.view(np.uint16).max(axis=0).view(np.float16).astype(np.float32)
        return best
    largest: NDArray[np.float32] = scores.max(axis=0)
    return largest


def _candidates(rows: NDArray[np.float32], first_class: int) -> Candidates:
    """Candidates of rows (n, first_class + classes) that begin with cx, cy, w, h."""
    class_ids = rows[:, first_class:].argmax(axis=1)
    scores = rows[np.arange(len(rows)), first_class + class_ids]
    half = rows[:, 2:4] / 2
    boxes: NDArray[np.float32] = np.concatenate((rows[:, :2] - half, rows[:, :2] + half), axis=1)
    return Candidates(boxes=boxes, scores=scores, class_ids=class_ids.astype(np.int64, copy=False))
