"""A lens out of focus: every point becomes a disk."""

from __future__ import annotations

import cv2
import numpy as np

from agent.core.types import Image
from agent.drift.diagnosis.cause import Cause


def defocus(image: Image, severity: float, _variant: int) -> Image:
    """A disk of up to 1 % of the image's width in radius."""
    radius = max(0.7, 0.011 * severity * image.shape[1])
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = np.clip(radius + 0.5 - np.hypot(x, y), 0.0, 1.0)
    return np.asarray(cv2.filter2D(image, -1, disk / disk.sum(), borderType=cv2.BORDER_REFLECT_101))


CAUSE = Cause(
    name="defocus",
    words="a lens out of focus",
    advice="focus the lens; check that it is not loose or misted",
    apply=defocus,
    runbook="camera_blurred",
)
