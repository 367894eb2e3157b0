"""Features of the model's confidence: scores of the boxes, and the share of suppressed candidates."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.core.types import Detections
from agent.features.definition import Family, Feature
from agent.features.view import View

NEAR = 0.1
"""How far above the threshold a score still counts as near it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoxScores:
    """The boxes' `finite` scores (n,), and the `detections` they come from."""

    finite: NDArray[np.float32]
    detections: Detections


def prepare(view: View) -> BoxScores:
    """The scores that are numbers."""
    scores = view.detections.scores
    return BoxScores(finite=scores[np.isfinite(scores)], detections=view.detections)


def near_threshold(scores: BoxScores) -> float:
    """Share of boxes whose score is less than NEAR above the threshold."""
    if not scores.finite.size:
        return math.nan
    return float((scores.finite < scores.detections.threshold + NEAR).mean())


def suppressed(scores: BoxScores) -> float:
    """Share of candidate boxes that NMS removed."""
    found = scores.detections
    return max(0.0, 1 - len(found) / found.candidates) if found.candidates > 0 else math.nan


FAMILY = Family(
    "confidence",
    prepare,
    (
        Feature(
            "confidence_mean",
            "ratio",
            "Mean score of the boxes. NaN without boxes.",
            lambda scores: float(scores.finite.mean()) if scores.finite.size else math.nan,
        ),
        Feature(
            "confidence_min",
            "ratio",
            "Lowest score of the boxes. NaN without boxes.",
            lambda scores: float(scores.finite.min()) if scores.finite.size else math.nan,
        ),
        Feature(
            "near_threshold",
            "ratio",
            "Share of boxes at most 0.1 above the threshold. NaN without.",
            near_threshold,
        ),
        Feature(
            "suppressed",
            "ratio",
            "Share of candidate boxes that NMS removed. NaN without candidates.",
            suppressed,
        ),
    ),
)
