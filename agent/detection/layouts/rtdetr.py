"""The layout of RT-DETR as Ultralytics exported it before 8.4: a row a query, boxes in 0..1, no suppression."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.detection.layouts.layout import Candidates, Layout, ModelFacts, candidates, finite
from agent.detection.layouts.values import bad_scores, bad_share

_MOST_QUERIES = 1000


def _fits(sides: tuple[int, int], facts: ModelFacts) -> bool:
    if facts.end_to_end or sides[0] > _MOST_QUERIES or sides[1] < 5:
        return False
    if facts.classes:
        return sides[1] == 4 + facts.classes
    grids = facts.cells()  # a grid with rows and columns exchanged has as many columns as anchors
    return sides[1] not in grids | {3 * cells for cells in grids}


def _doubt(output: NDArray[Any], _facts: ModelFacts) -> str:
    return bad_share(finite(output[:, :4].astype(np.float32))) or bad_scores(output[:, 4:])


def _decode(output: NDArray[Any], threshold: float, size: tuple[int, int]) -> Candidates:
    rows = finite(output[np.flatnonzero(output[:, 4:].max(axis=1) > threshold)].astype(np.float32))
    rows[:, :4] *= np.array([size[1], size[0]] * 2, dtype=np.float32)
    return candidates(rows, 4)


LAYOUT = Layout(
    name="rtdetr",
    models="RT-DETR before 8.4",
    expected="(batch, queries, 4 + classes) with boxes in 0..1",
    fits=_fits,
    doubt=_doubt,
    classes=lambda sides: sides[1] - 4,
    decode=_decode,
    suppressed=True,
    stretched=True,
)
