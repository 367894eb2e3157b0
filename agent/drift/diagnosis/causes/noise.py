"""Noise of the sensor: high gain, heat, a failing sensor."""

from __future__ import annotations

import numpy as np

from agent.core.types import Image
from agent.drift.diagnosis.cause import Cause, limited


def noise(image: Image, severity: float, variant: int) -> Image:
    """White noise of up to 40 levels, of each channel by itself (0), or of all alike (1)."""
    height, width = image.shape[:2]
    random = np.random.default_rng([variant, height, width, int(image[::7, ::7].sum()) % 2**31])
    channels = 3 if variant == 0 else 1
    grain = random.standard_normal((height, width, channels), dtype=np.float32)
    shot = 0.7 + 0.3 * np.sqrt(image.astype(np.float32) / 128.0)
    return limited(image + 40.0 * severity * shot * grain)


CAUSE = Cause(
    name="noise",
    words="noise of the sensor: gain, heat or a failing sensor",
    advice="compare by day and night: add light or limit the gain; let a hot camera cool; replace a failing one",
    apply=noise,
    variants=2,
)
