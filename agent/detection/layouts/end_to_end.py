"""The layout of detectors that end with their own choice of boxes: YOLOv10, 26, exports with nms."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.detection.layouts.layout import Candidates, Layout, ModelFacts, finite
from agent.detection.layouts.values import FEWEST, bad_range, is_normalised

_MOST_CLASSES = 10_000


def _fits(sides: tuple[int, int], facts: ModelFacts) -> bool:
    grid = sides[0] in facts.cells() or sides[0] in {3 * cells for cells in facts.cells()}
    return sides[1] == 6 and (facts.end_to_end or not grid)


def _doubt(output: NDArray[Any], facts: ModelFacts) -> str:
    rows = finite(output.astype(np.float32))
    rows = rows[(rows[:, :4] != 0).any(axis=1)]  # the rest is padding
    if len(rows) == 0:
        return ""
    if wrong := bad_classes(rows[:, 5], facts):
        return wrong
    if float(np.mean((rows[:, 2:4] < rows[:, :2]).any(axis=1))) > 0.05:
        return "right or lower edges lie before left or upper ones: its boxes are not corners"
    if len(rows) >= FEWEST and is_normalised(rows[:, :4]):
        return "its boxes lie within 0..1, not in pixels"
    return bad_range(rows[:, 4:5])


def bad_classes(numbers: NDArray[np.float32], facts: ModelFacts) -> str:
    """What is wrong with a column of class numbers, "" where they are such."""
    highest = facts.classes or _MOST_CLASSES
    broken = numbers[numbers != np.rint(numbers)]
    if len(broken):
        return f"its last column holds {broken[0]:.3g}, no class number"
    if len(numbers) and numbers.min() >= 1 and numbers.max() == highest:
        return (
            f"it numbers its classes from 1 to {highest}, but has names from 0: set model.names, with a name for "
            "class 0 in front"
        )
    if len(numbers) and (numbers.min() < 0 or numbers.max() >= highest):
        return f"it gives class {numbers.max():.0f}, but has {highest} class names"
    return ""


def _decode(output: NDArray[Any], threshold: float, _size: tuple[int, int]) -> Candidates:
    rows = finite(output[output[:, 4] > threshold].astype(np.float32))
    return Candidates(boxes=rows[:, :4], scores=rows[:, 4], class_ids=rows[:, 5].astype(np.int64))


LAYOUT = Layout(
    name="end2end",
    models="YOLOv10, 26, exports with nms",
    expected="(batch, boxes, 6)",
    fits=_fits,
    doubt=_doubt,
    classes=lambda _sides: 0,
    decode=_decode,
    suppressed=True,
)
