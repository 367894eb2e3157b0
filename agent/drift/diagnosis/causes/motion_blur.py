"""Motion blur: a camera that shakes, or exposes for too long."""

from __future__ import annotations

import cv2
import numpy as np

from agent.core.types import Image
from agent.drift.diagnosis.cause import Cause

ANGLES = (0.0, 90.0, 45.0, 135.0)


def motion_blur(image: Image, severity: float, variant: int) -> Image:
    """Averaged along a line of up to 3 % of the image's width."""
    length = max(3.0, 0.03 * severity * image.shape[1])
    reach = int(np.ceil(length / 2)) + 1
    angle = np.deg2rad(ANGLES[variant])
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    line = np.clip(length / 2 + 0.5 - np.abs(along), 0, 1) * np.clip(1.0 - np.abs(across), 0, 1)
    return np.asarray(cv2.filter2D(image, -1, line / line.sum(), borderType=cv2.BORDER_REFLECT_101))


CAUSE = Cause(
    name="motion_blur",
    words="motion blur: a shaking camera or long exposures",
    advice="fasten the camera, shorten the exposure or add light",
    apply=motion_blur,
    variants=len(ANGLES),
    runbook="camera_blurred",
)
