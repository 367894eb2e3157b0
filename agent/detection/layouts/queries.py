"""The layout of RT-DETR as Ultralytics exports it since 8.4: its best pairs of query and class, boxes in 0..1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.detection.layouts.end_to_end import bad_classes
from agent.detection.layouts.layout import Candidates, Layout, ModelFacts, candidates, finite
from agent.detection.layouts.values import bad_range, bad_share


def _fits(sides: tuple[int, int], _facts: ModelFacts) -> bool:
    return sides[1] == 6


def _doubt(output: NDArray[Any], facts: ModelFacts) -> str:
    rows = finite(output.astype(np.float32))
    return bad_share(rows[:, :4]) or bad_classes(rows[:, 5], facts) or bad_range(rows[:, 4:5])


def _decode(output: NDArray[Any], threshold: float, size: tuple[int, int]) -> Candidates:
    rows = finite(output[output[:, 4] > threshold].astype(np.float32))
    rows[:, :4] *= np.array([size[1], size[0]] * 2, dtype=np.float32)
    found = candidates(rows[:, :5], 4)
    return Candidates(boxes=found.boxes, scores=found.scores, class_ids=rows[:, 5].astype(np.int64))


LAYOUT = Layout(
    name="queries",
    models="RT-DETR since 8.4",
    expected="(batch, queries, 6) with boxes in 0..1",
    fits=_fits,
    doubt=_doubt,
    classes=lambda _sides: 0,
    decode=_decode,
    suppressed=True,
    stretched=True,
)
