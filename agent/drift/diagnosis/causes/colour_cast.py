"""A colour cast: another lamp, or a white balance gone wrong."""

from __future__ import annotations

import numpy as np

from agent.core.types import Image
from agent.drift.diagnosis.cause import Cause, limited

DIRECTIONS = (
    (-1.0, 0.0, 1.0), (1.0, 0.0, -1.0), (-0.5, 1.0, -0.5), (0.5, -1.0, 0.5), (-1.0, 0.4, 0.4), (1.0, -0.4, -0.4),
)  # fmt: skip
"""Of blue, green and red: warmer, colder, greener, more magenta, yellower (a sodium lamp), bluer."""


def colour_cast(image: Image, severity: float, variant: int) -> Image:
    """Channels by factors of up to 2."""
    gains = np.exp2(severity * np.array(DIRECTIONS[variant])) / np.exp2(0.15 * severity)
    return limited(image * gains)


CAUSE = Cause(
    name="colour_cast",
    words="another lamp or a wrong white balance",
    advice="check the lamps and the camera's white balance",
    apply=colour_cast,
    variants=len(DIRECTIONS),
)
