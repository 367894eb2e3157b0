"""Features of the model's confidence: how sure it is, and how much it had to throw away."""

from __future__ import annotations

import math

import numpy as np

from agent.features.definition import Family, Feature
from agent.features.view import View

NEAR = 0.1
"""How far above the threshold a score still counts as near it."""


def measure(view: View) -> tuple[float, ...]:
    """The numbers of FAMILY's features, in order."""
    seen = view.detections
    scores = seen.scores[np.isfinite(seen.scores)]
    if len(scores):
        near = float((scores < seen.threshold + NEAR).mean())
        sure = float(scores.mean()), float(scores.min()), near
    else:
        sure = math.nan, math.nan, math.nan
    return *sure, max(0.0, 1 - len(seen) / seen.candidates) if seen.candidates > 0 else math.nan


FAMILY = Family(
    "confidence",
    (
        Feature("confidence_mean", "ratio", "Mean score of the boxes. NaN without boxes."),
        Feature("confidence_min", "ratio", "Lowest score of the boxes. NaN without boxes."),
        Feature("near_threshold", "ratio", "Share of boxes at most 0.1 above the threshold. NaN without."),
        Feature("suppressed", "ratio", "Share of candidate boxes that NMS removed. NaN without candidates."),
    ),
    measure,
)
