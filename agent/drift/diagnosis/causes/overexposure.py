"""Overexposure or glare: too much light, everywhere or from one side."""

from __future__ import annotations

import numpy as np

from agent.core.types import Image
from agent.drift.diagnosis.cause import Cause, limited


def overexposure(image: Image, severity: float, variant: int) -> Image:
    """Gains of up to 3 (0), a lamp or low sun whose glare lies over a part (1), all levels lifted (2), or the
    middle ones more than the others (3)."""
    if variant == 0:
        return limited(image * (1.0 + 2.0 * severity) + 20.0 * severity)
    if variant == 2:
        return limited(image + 110.0 * severity)
    if variant == 3:
        return limited(255.0 * np.power(image / 255.0, 1.0 / (1.0 + 2.0 * severity)))
    height, width = image.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    away = np.hypot((x - 0.3 * width) / width, (y - 0.2 * height) / width)
    glare = 300.0 * severity * np.exp(-away / 0.25)
    return limited(image + glare[..., None])


CAUSE = Cause(
    name="overexposure",
    words="too much light: overexposure or glare",
    advice="check exposure and gain; shade the lens from sun and lamps",
    apply=overexposure,
    variants=4,
    runbook="camera_overexposed",
)
