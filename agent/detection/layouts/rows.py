"""The layout of YOLOv5 (of the yolov5 repository), v6 and v7: a row an anchor, with an objectness (of v6 always 1)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.detection.layouts.layout import Candidates, Layout, ModelFacts, candidates, class_pairs, finite
from agent.detection.layouts.values import bad_grid, bad_scores


def _fits(sides: tuple[int, int], facts: ModelFacts) -> bool:
    if facts.end_to_end or sides[1] < 6:
        return False
    if facts.classes:
        return sides[1] == 5 + facts.classes
    return sides[0] in facts.cells() | {3 * cells for cells in facts.cells()}


def _doubt(output: NDArray[Any], facts: ModelFacts) -> str:
    if output.shape[0] in facts.cells() and not (output[:, 4] == 1).all():
        return "it has one box a grid cell, as YOLOX has, whose boxes are raw and whose input is neither scaled nor RGB"
    return bad_grid(output[:, :4], facts.size) or bad_scores(_scores(output))


def _scores(rows: NDArray[Any]) -> NDArray[Any]:
    """(n, classes): objectness times class score; of one class the objectness, whose class score is not trained."""
    return rows[:, 4:5] * rows[:, 5:] if rows.shape[1] > 6 else rows[:, 4:5]


def _decode(output: NDArray[Any], threshold: float, _size: tuple[int, int]) -> Candidates:
    # objectness first: the product with a class score cannot be larger
    rows = finite(output[np.flatnonzero(output[:, 4] > threshold)].astype(np.float32))
    rows[:, 5:] = _scores(rows)
    return candidates(rows[rows[:, 5:].max(axis=1, initial=0) > threshold], 5)


def _pairs(output: NDArray[Any], threshold: float, _size: tuple[int, int]) -> Candidates:
    return class_pairs(output[:, :4], _scores(output), threshold)


LAYOUT = Layout(
    name="rows",
    models="YOLOv5, v6, v7",
    expected="(batch, boxes, 5 + classes)",
    fits=_fits,
    doubt=_doubt,
    classes=lambda sides: sides[1] - 5,
    decode=_decode,
    pairs=_pairs,
)
