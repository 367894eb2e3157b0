"""A picture of a cause: a frame of the reference, one of now, and the reference's with the supposed cause applied."""

from __future__ import annotations

import cv2
import numpy as np

from agent.core.types import Image
from agent.drift.diagnosis import CAUSES

HEIGHT = 240
"""Pixels of each frame."""

_BAR, _GAP = 24, 4


def cause_picture(reference: Image, now: Image, cause: str, severity: float, variant: int) -> Image:
    """The three beside one another, titled, of images (H, W, 3) uint8 BGR; two where the cause changes no image."""
    parts = [_titled(reference, "reference"), _titled(now, "now")]
    if cause in CAUSES:
        changed = CAUSES[cause].apply(reference, severity, variant)
        parts.append(_titled(changed, f"reference with {cause.replace('_', ' ')}"))
    gap = np.full((HEIGHT + _BAR, _GAP, 3), 255, dtype=np.uint8)
    spaced = [each for part in parts for each in (part, gap)][:-1]
    return np.hstack(spaced)


def _titled(image: Image, title: str) -> Image:
    width = max(1, round(image.shape[1] * HEIGHT / image.shape[0]))
    bar = np.full((_BAR, width, 3), 255, dtype=np.uint8)
    cv2.putText(bar, title, (4, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    small = cv2.resize(image, (width, HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(np.vstack([bar, small]), dtype=np.uint8)
