"""Features of change: what moved since the camera's last sampled frame."""

from __future__ import annotations

import math

import cv2
import numpy as np

from agent.features.definition import Family, Feature
from agent.features.view import View

MOVED = 12
"""Grey levels by which a smoothed pixel must differ to count as moved: above the noise of a camera at night
(sigma 10 at native resolution leaves about 2 on the smoothed small copy)."""


def measure(view: View) -> tuple[float, ...]:
    """The numbers of FAMILY's features, in order.

    The mean difference is taken out first: a step of the automatic exposure is no motion.
    """
    before, after = view.previous, view.thumbnail
    if before is None or before.shape != after.shape or before.grey.shape != after.grey.shape:
        return math.nan, math.nan
    difference = after.grey.astype(np.int16) - before.grey
    change = np.abs(difference - round(float(difference.mean())))
    return float(change.mean()), cv2.countNonZero((change > MOVED).view(np.uint8)) / change.size


FAMILY = Family(
    "motion",
    (
        Feature("motion", "levels", "Mean absolute change since the last sampled frame. NaN for the first."),
        Feature("moving_area", "ratio", "Share of the picture that changed clearly. NaN for the first."),
    ),
    measure,
)
