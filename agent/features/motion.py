"""Features of change: what moved since the camera's last sampled frame."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.features.definition import Family, Feature
from agent.features.view import View

MOVED = 12
"""Grey levels by which a smoothed pixel must differ to count as moved: above the noise of a camera at night
(sigma 10 at native resolution leaves about 2 on the smoothed small copy)."""

_NEIGHBOURS = np.ones((3, 3), dtype=np.uint8)


def prepare(view: View) -> NDArray[np.int16] | None:
    """Absolute change of each pixel that counts since the last sampled frame; None without one of the same shape.

    The mean difference is taken out first: a step of the automatic exposure is no motion.
    """
    before, after = view.previous, view.thumbnail
    if before is None or before.shape != after.shape or before.grey.shape != after.grey.shape:
        return None
    if before.ignored != after.ignored:
        return None
    change: NDArray[np.int16] = after.grey.astype(np.int16) - before.grey
    if view.kept is not None:
        inner = cv2.erode(view.kept, _NEIGHBOURS)  # smoothing has mixed the outermost with what is left out
        change = change[inner > 0].reshape(-1, 1)
        if change.size == 0:
            return None
    change -= round(float(change.mean()))
    return np.abs(change, out=change)


def motion(change: NDArray[np.int16] | None) -> float:
    """Mean change in grey levels."""
    return math.nan if change is None else float(change.mean())


def moving_area(change: NDArray[np.int16] | None) -> float:
    """Share of pixels that changed by more than MOVED."""
    return math.nan if change is None else cv2.countNonZero((change > MOVED).view(np.uint8)) / change.size


FAMILY = Family(
    "motion",
    prepare,
    (
        Feature(
            "motion",
            "levels",
            "Mean absolute change since the last sampled frame. NaN for the first.",
            motion,
        ),
        Feature(
            "moving_area", "ratio", "Share of the frame that changed clearly. NaN for the first.", moving_area
        ),
    ),
)
