"""The layout of YOLOv8, v9, 11 and 12: a column an anchor, a row a value."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.detection.layouts.layout import (
    NO_CANDIDATES,
    Candidates,
    Layout,
    ModelFacts,
    candidates,
    class_pairs,
    finite,
)
from agent.detection.layouts.values import bad_grid, bad_scores, objectness_first


def _fits(sides: tuple[int, int], facts: ModelFacts) -> bool:
    if facts.end_to_end:
        return False
    return sides[0] == 4 + facts.classes if facts.classes else 5 <= sides[0] < sides[1]


def doubt(output: NDArray[Any], facts: ModelFacts) -> str:
    """What speaks against cx, cy, w, h in pixels and class scores, of one image's (4 + classes, anchors)."""
    wrong = bad_grid(output[:4].T, facts.size) or bad_scores(output[4:].T)
    return wrong or ("" if facts.classes else objectness_first(output[4:].T))


def decode(output: NDArray[Any], threshold: float, _size: tuple[int, int]) -> Candidates:
    """Candidates of (4 + classes, anchors); as in Ultralytics a box counts once, for its best class."""
    chosen = np.flatnonzero(_largest_score(output[4:]) > threshold)
    return candidates(finite(output[:, chosen].T.astype(np.float32)), 4) if len(chosen) else NO_CANDIDATES


def pairs(output: NDArray[Any], threshold: float, _size: tuple[int, int]) -> Candidates:
    """As `decode`, one candidate a box and class."""
    return class_pairs(output[:4].T, output[4:].T, threshold)


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


LAYOUT = Layout(
    name="channels",
    models="YOLOv8, v9, 11, 12",
    expected="(batch, 4 + classes, boxes)",
    fits=_fits,
    doubt=doubt,
    classes=lambda sides: sides[0] - 4,
    decode=decode,
    pairs=pairs,
)
