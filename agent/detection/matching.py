"""Pairs the boxes of two models, or of two runs, by class and overlap, and counts matches. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.core.types import Detections
from agent.detection.nms import overlap

IOU = 0.5
"""A box and its partner overlap at least so much: the same object, not the same edges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxMatches:
    """Boxes that a `first` and a `second` model found, and pairs that are the same object."""

    pairs: int = 0
    first: int = 0
    second: int = 0

    def __add__(self, other: BoxMatches) -> BoxMatches:
        return BoxMatches(
            pairs=self.pairs + other.pairs, first=self.first + other.first, second=self.second + other.second
        )

    @property
    def boxes(self) -> int:
        """Of both."""
        return self.first + self.second

    def f1(self, least: int) -> float | None:
        """F1 of the one by the other, 0..1: twice the pairs by all boxes. None for fewer than `least` boxes of both."""
        return 2 * self.pairs / self.boxes if self.boxes >= max(least, 1) else None


def match_boxes(
    first: Detections, first_names: Sequence[str], second: Detections, second_names: Sequence[str]
) -> BoxMatches:
    """Pair the boxes of two models on one frame: best score first, same class name, best overlap not yet taken."""
    if not (len(first) and len(second)):
        return BoxMatches(first=len(first), second=len(second))
    ious = overlap(first.boxes, second.boxes)
    names = [_names(first, first_names), _names(second, second_names)]
    ious = np.where(np.equal.outer(names[0], names[1]), ious, 0.0)
    pairs = 0
    for row in np.argsort(-first.scores, kind="stable"):
        partner = int(np.argmax(ious[row]))
        if ious[row, partner] >= IOU:
            ious[:, partner] = 0.0
            pairs += 1
    return BoxMatches(pairs=pairs, first=len(first), second=len(second))


def _names(found: Detections, names: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    """The class name of each box; a class without name is called by its number, as everywhere."""
    return np.array(
        [names[number] if number < len(names) else f"class{number}" for number in found.class_ids],
        dtype=object,
    )
