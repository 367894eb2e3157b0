"""A part of the view covered: a leaf, a spider, tape, a parked van."""

from __future__ import annotations

import cv2
import numpy as np

from agent.core.types import Image
from agent.drift.diagnosis.cause import Cause, limited

SIDES = ("left", "right", "bottom", "top", "middle")


def cover(image: Image, severity: float, variant: int) -> Image:
    """Something out of focus before up to 60 % of the view: dark from the sides, lighter in the middle."""
    height, width = image.shape[:2]
    mask = np.zeros((height, width), dtype=np.float32)
    side = SIDES[variant]
    rows, columns = _part(side, 0.12 + 0.48 * severity)
    mask[_span(rows, height), _span(columns, width)] = 1.0
    soft = cv2.GaussianBlur(mask, (0, 0), max(1.0, 0.01 * width))[..., None]
    level = 110.0 if side == "middle" else 35.0
    return limited(image * (1 - soft) + level * soft)


def _part(side: str, share: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """From where to where it reaches, down and across, in shares of the view."""
    inner = (1 - np.sqrt(share)) / 2
    whole = 0.0, 1.0
    return {
        "left": (whole, (0.0, share)),
        "right": (whole, (1 - share, 1.0)),
        "bottom": ((1 - share, 1.0), whole),
        "top": ((0.0, share), whole),
        "middle": ((inner, 1 - inner), (inner, 1 - inner)),
    }[side]


def _span(part: tuple[float, float], size: int) -> slice:
    return slice(round(part[0] * size), round(part[1] * size))


CAUSE = Cause(
    name="cover",
    words="something before a part of the view",
    advice="remove what is before the lens",
    apply=cover,
    variants=len(SIDES),
    runbook="camera_covered",
)
