"""How far two models agree on the same frames: boxes of the one are looked for among those of the other. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.core.types import Detections
from agent.detection.nms import overlap

IOU = 0.5
"""A box and its partner overlap at least so much: the same object, not the same edges."""

LEAST_BOXES = 20
"""Boxes of both models together under which an agreement is chance."""

LEAST_FRAMES = 20
"""Frames under which a latency is chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Boxes that two models found, and pairs that are the same object."""

    pairs: int = 0
    boxes: int = 0

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(pairs=self.pairs + other.pairs, boxes=self.boxes + other.boxes)

    @property
    def ratio(self) -> float | None:
        """F1 of the one by the other, 0..1: twice the pairs by all boxes. None for too few boxes."""
        return 2 * self.pairs / self.boxes if self.boxes >= LEAST_BOXES else None


def agreement(
    first: Detections, first_names: Sequence[str], second: Detections, second_names: Sequence[str]
) -> Agreement:
    """Pair the boxes of two models on one frame: best score first, same class name, best overlap not yet taken."""
    boxes = len(first) + len(second)
    if not (len(first) and len(second)):
        return Agreement(boxes=boxes)
    ious = overlap(first.boxes, second.boxes)
    names = [_names(first, first_names), _names(second, second_names)]
    ious = np.where(np.equal.outer(names[0], names[1]), ious, 0.0)
    pairs = 0
    for row in np.argsort(-first.scores, kind="stable"):
        partner = int(np.argmax(ious[row]))
        if ious[row, partner] >= IOU:
            ious[:, partner] = 0.0
            pairs += 1
    return Agreement(pairs=pairs, boxes=boxes)


class Recent:
    """What two models found on the last `size` frames that both were run on, and the seconds that they took."""

    def __init__(self, size: int) -> None:
        self._agreements: deque[Agreement] = deque(maxlen=size)
        self._seconds: deque[tuple[float, float]] = deque(maxlen=size)

    def add(self, found: Agreement, seconds: tuple[float, float]) -> None:
        """Add a frame; `seconds` are those of the running model and of the second one."""
        self._agreements.append(found)
        self._seconds.append(seconds)

    @property
    def agreement(self) -> float | None:
        """Over the frames; None for too few boxes."""
        return sum(self._agreements, Agreement()).ratio

    @property
    def latencies(self) -> tuple[float, float] | None:
        """The medians in seconds; None for too few frames."""
        if len(self._seconds) < LEAST_FRAMES:
            return None
        first, second = np.median(list(self._seconds), axis=0)
        return float(first), float(second)


def _names(found: Detections, names: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    """The class name of each box; a class without name is called by its number, as everywhere."""
    return np.array(
        [names[number] if number < len(names) else f"class{number}" for number in found.class_ids],
        dtype=object,
    )
