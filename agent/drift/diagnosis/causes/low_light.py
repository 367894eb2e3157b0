"""Low light: what reaches the sensor is less, and its noise shows."""

from __future__ import annotations

import numpy as np

from agent.core.types import Image
from agent.drift.diagnosis.cause import Cause, limited


def low_light(image: Image, severity: float, variant: int) -> Image:
    """Down to an eighth of the light: alone (0), with even noise (1), the shadows first and with shot noise (2)."""
    if variant == 0:
        return limited(image.astype(np.float32) * (1.0 - 0.88 * severity))
    random = np.random.default_rng(int(image[::7, ::7].sum()) % 2**31)
    grain = random.standard_normal(image.shape, dtype=np.float32)
    if variant == 1:
        return limited(image * (1.0 - 0.88 * severity) + 9.0 * severity * grain)
    dark = 255.0 * np.power(image / np.float32(255.0), np.float32(1.0 + 3.0 * severity))
    return limited(dark + np.sqrt(dark + 1.0) * (0.5 + 0.7 * severity) * grain)


CAUSE = Cause(
    name="low_light",
    words="too little light",
    advice="check lamps and exposure; look at a snapshot",
    apply=low_light,
    variants=3,
)
