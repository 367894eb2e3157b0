"""Measures how well two runs of a model agree: candidates of one are searched among those of the other. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.detection.layouts.layout import Candidates
from agent.detection.nms import overlap

COMPARED = 50
"""Best candidates of each image that must be found again."""

LEAST_SCORE = 0.001
"""Below this even a sound model's candidates are noise."""

_CLASS_MATTERS = 0.05  # below this the best class of a box is a matter of rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How far a box may be from its partner."""

    iou: float
    score: float


EXACT = Tolerance(iou=0.99, score=0.002)  # the same arithmetic, perhaps fused differently
# Half precision moves a doubtful candidate by some hundredths (0.05 seen on YOLO11n, boxes after suppression
# by less than 0.02); what is broken is off by far more.
HALF = Tolerance(iou=0.95, score=0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Of the best candidates of one image: the worst overlap and score difference, and the score of a box that is
    beyond the tolerance (None: none is) with its own overlap and difference."""

    boxes: int
    sure: int
    least_iou: float
    largest_score_difference: float
    lost: tuple[float, float, float] | None


def best(found: Candidates) -> Candidates:
    """The `COMPARED` best candidates, best first."""
    order = np.argsort(-found.scores, kind="stable")[:COMPARED]
    return Candidates(boxes=found.boxes[order], scores=found.scores[order], class_ids=found.class_ids[order])


def agree(before: Candidates, after: Candidates, limit: Tolerance) -> Agreement:
    """Look for the best candidates of `before` in `after`."""
    chosen = best(before)
    least_iou, largest, lost = 1.0, 0.0, None
    for box in range(len(chosen)):
        iou, difference = _partner(chosen, box, after)
        least_iou, largest = min(least_iou, iou), max(largest, difference)
        if lost is None and (iou < limit.iou or difference > limit.score):
            lost = float(chosen.scores[box]), iou, difference
    return Agreement(
        boxes=len(chosen),
        sure=int((chosen.scores > 0.25).sum()),
        least_iou=least_iou,
        largest_score_difference=largest,
        lost=lost,
    )


def _partner(before: Candidates, box: int, after: Candidates) -> tuple[float, float]:
    """IoU and score difference of the candidate in `after` that is closest to `box` of `before`."""
    score, class_id = before.scores[box], before.class_ids[box]
    ious = overlap(before.boxes[box : box + 1], after.boxes)[0]
    if score > _CLASS_MATTERS:
        ious = np.where(after.class_ids == class_id, ious, 0)
    if not len(ious):
        return 0.0, float(score)
    differences = np.abs(after.scores - score)
    nearest = int(np.argmin((1 - ious) + differences))
    return float(ious[nearest]), float(differences[nearest])
