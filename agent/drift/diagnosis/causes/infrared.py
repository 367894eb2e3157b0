"""Infrared: the camera went to its night mode, or lost its colours."""

from __future__ import annotations

import numpy as np

from agent.core.types import Image
from agent.drift.diagnosis.cause import Cause, limited

WEIGHTS = ((0.11, 0.59, 0.30), (0.05, 0.25, 0.70), (0.11, 0.59, 0.30))
"""Of blue, green and red: plain grey, as a sensor without its infrared filter sees, and plain grey but darker."""


def infrared(image: Image, severity: float, variant: int) -> Image:
    """Down to no colour at all; variant 1 with the harder light of an infrared lamp."""
    grey = image.astype(np.float32) @ np.array(WEIGHTS[variant], dtype=np.float32)
    if variant == 1:
        grey = 128.0 + 1.15 * (grey - 128.0) + 12.0
    if variant == 2:
        grey = 0.7 * grey
    share = min(1.0, 0.5 + 0.5 * severity)
    return limited(image * (1 - share) + grey[..., None] * share)


CAUSE = Cause(
    name="infrared",
    words="the night mode (infrared), or lost colours",
    advice="check the camera's day and night switch and its infrared filter",
    apply=infrared,
    variants=len(WEIGHTS),
)
