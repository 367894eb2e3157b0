"""The layout of YOLOv8 and later, exported with rows and columns exchanged."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from agent.detection.layouts import channels
from agent.detection.layouts.layout import Candidates, Layout, ModelFacts


def _fits(sides: tuple[int, int], facts: ModelFacts) -> bool:
    if facts.end_to_end or sides[1] < 5:
        return False
    if facts.classes:
        return sides[1] == 4 + facts.classes and sides[0] not in {3 * cells for cells in facts.cells()}
    return sides[0] in facts.cells()


def _doubt(output: NDArray[Any], facts: ModelFacts) -> str:
    return channels.doubt(output.T, facts)


def _decode(output: NDArray[Any], threshold: float, size: tuple[int, int]) -> Candidates:
    return channels.decode(output.T, threshold, size)


def _pairs(output: NDArray[Any], threshold: float, size: tuple[int, int]) -> Candidates:
    return channels.pairs(output.T, threshold, size)


LAYOUT = Layout(
    name="transposed",
    models="YOLOv8 and later, transposed",
    expected="(batch, boxes, 4 + classes)",
    fits=_fits,
    doubt=_doubt,
    classes=lambda sides: sides[1] - 4,
    decode=_decode,
    pairs=_pairs,
)
