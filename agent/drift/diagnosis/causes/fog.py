"""Fog, haze, or a misted lens: light scattered into the view, by Koschmieder's law."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.core.types import Image
from agent.drift.diagnosis.cause import Cause, limited

AIRLIGHT = 95.0
"""Percentile of the grey levels that the air between takes: as bright as the brightest of the scene."""

BLUISH = np.array([1.04, 1.0, 0.95])


def fog(image: Image, severity: float, variant: int) -> Image:
    """`I t + A (1 - t)`, `t` the light that arrives: even (0), less above (1) and bluish (2), in banks (3)."""
    height, width = image.shape[:2]
    rising = np.linspace(1.0, 0.4, height)[:, None]
    depth = (np.ones((height, width)), rising, rising, _banks(height, width))[variant]
    veil = (0.85 * severity * depth)[..., None]
    air = max(float(np.percentile(image, AIRLIGHT)), 150.0) * (BLUISH if variant == 2 else 1.0)
    return limited(image * (1 - veil) + air * veil)


def _banks(height: int, width: int) -> NDArray[np.float64]:
    random = np.random.default_rng(7)
    total = np.zeros((height, width))
    for octave in (3, 6, 12):
        rough = random.uniform(size=(octave, octave * 2))
        total += cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC) / octave
    low, high = total.min(), total.max()
    return np.asarray(0.35 + 0.65 * (total - low) / (high - low), dtype=np.float64)


CAUSE = Cause(
    name="fog",
    words="fog, haze or a misted lens",
    advice="wait for the weather; where it stays, wipe the lens and look for water in the housing",
    apply=fog,
    variants=4,
)
