"""Dirt or drops on the lens: spots that stay where they are."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.core.types import Image
from agent.drift.diagnosis.cause import Cause, limited

BROWN, GREY = (30.0, 42.0, 50.0), (95.0, 95.0, 95.0)


def dirt(image: Image, severity: float, variant: int) -> Image:
    """Spots over up to half of the image: brown (0), blurring drops (1), dust (2), small drops that shine (3), one
    large smear (4), drops with sharp rims (5)."""
    height, width = image.shape[:2]
    if variant == 5:
        return _rimmed(image, severity)
    mask = _spots(height, width, severity, variant)[..., None]
    blurred = cv2.GaussianBlur(image, (0, 0), max(1.5, 0.015 * width)).astype(np.float32)
    through = (
        0.25 * blurred + np.array(BROWN, dtype=np.float32),
        blurred,
        0.55 * blurred + np.array(GREY, dtype=np.float32),
        0.5 * blurred + 110.0,
        0.35 * blurred + np.array(BROWN, dtype=np.float32),
    )[variant]
    return limited(image * (1 - mask) + through * mask)


def _rimmed(image: Image, severity: float) -> Image:
    """Drops near the focus: blurred and brighter within, a dark rim around. Detail that stays where it is."""
    height, width = image.shape[:2]
    random = np.random.default_rng(77)
    drops = np.zeros((height, width), dtype=np.uint8)
    rims = np.zeros((height, width), dtype=np.uint8)
    for _ in range(int(40 + 360 * severity)):
        centre = int(random.integers(width)), int(random.integers(height))
        radius = max(1, round(width * random.uniform(0.003, 0.014)))
        cv2.circle(drops, centre, radius, 255, -1)
        cv2.circle(rims, centre, radius, 255, 1)
    within, around = (drops > 0)[..., None], (rims > 0)[..., None]
    blurred = cv2.GaussianBlur(image, (0, 0), max(1.5, 0.01 * width)).astype(np.float32)
    return limited(np.where(around, 0.55 * image, np.where(within, 0.8 * blurred + 45.0, image)))


def _spots(height: int, width: int, severity: float, variant: int) -> NDArray[np.float32]:
    """How much of each pixel is hidden, (H, W) 0..1."""
    random = np.random.default_rng(1000 + variant)
    small, smear = variant == 3, variant == 4
    number = int((60 + 500 * severity) if small else (2 + 4 * severity) if smear else (6 + 44 * severity))
    sizes = (0.002, 0.006) if small else (0.08, 0.16) if smear else (0.008, 0.045)
    spots = np.zeros((height, width), dtype=np.float32)
    for _ in range(number):
        centre = int(random.integers(width)), int(random.integers(height))
        radius = max(1, int(width * random.uniform(*sizes)))
        cv2.circle(spots, centre, radius, float(random.uniform(0.6, 1.0)), -1)
    soft = 0.0012 if small else 0.02 if smear else 0.006
    return np.asarray(cv2.GaussianBlur(spots, (0, 0), max(0.6, soft * width)))


CAUSE = Cause(
    name="dirt",
    words="dirt or drops on the lens",
    advice="clean the lens or the dome",
    apply=dirt,
    variants=6,
)
