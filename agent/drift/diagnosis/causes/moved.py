"""A camera that was moved: shifted, turned or zoomed."""

from __future__ import annotations

import cv2
import numpy as np

from agent.core.types import Image
from agent.drift.diagnosis.cause import Cause

KNOCKS = (
    (0.25, 0.0, 0.0, 1.0),
    (-0.25, 0.05, 0.0, 1.0),
    (0.05, 0.25, 0.0, 1.0),
    (0.0, -0.25, 0.0, 1.0),
    (0.0, 0.0, 18.0, 1.05),
    (0.0, 0.0, -18.0, 1.05),
    (0.0, 0.0, 0.0, 1.6),
    (0.1, 0.08, 8.0, 1.15),
)
"""Share of the width and of the height, degrees, zoom."""


def moved(image: Image, severity: float, variant: int) -> Image:
    """Shifted by up to a quarter of the view, turned by up to 18 degrees, or nearer by up to 1.6 times."""
    height, width = image.shape[:2]
    right, down, degrees, zoom = KNOCKS[variant]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees * severity, zoom**severity)
    turn[:, 2] += right * severity * width, down * severity * height
    return np.asarray(cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REFLECT_101))


CAUSE = Cause(
    name="moved",
    words="a camera that was moved, turned or zoomed",
    advice="point it back, or accept the new view",
    apply=moved,
    variants=len(KNOCKS),
    runbook="camera_moved",
)
