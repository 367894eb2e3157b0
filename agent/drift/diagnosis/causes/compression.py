"""Compression: a stream of too few bits, in blocks."""

from __future__ import annotations

import cv2
import numpy as np

from agent.core.types import Image
from agent.drift.diagnosis.cause import Cause, limited

SHIFTS = ((0, 0), (3, 5), (5, 2), (6, 6))
"""Of the blocks, over which a decoder's filter of the blocks' edges is taken."""


def compression(image: Image, severity: float, variant: int) -> Image:
    """JPEG of a quality of 40 down to 4; variant 1: of the luma, without its blocks' edges, as video decoders do it.

    The smoothing is the mean over shifted blocks (Nosratinia, 2001, "Enhancement of JPEG-compressed images by
    re-application of JPEG").
    """
    quality = round(40 * (1 - severity) + 4 * severity)
    if variant == 0:
        return _coded(image, quality)
    parts = cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb)
    total = np.zeros(image.shape[:2], dtype=np.float32)
    for shift in SHIFTS:
        moved = np.roll(parts[..., 0], shift, axis=(0, 1))
        total += np.roll(_coded(moved, quality), (-shift[0], -shift[1]), axis=(0, 1))
    parts[..., 0] = limited(total / len(SHIFTS))
    return np.asarray(cv2.cvtColor(parts, cv2.COLOR_YCrCb2BGR), dtype=np.uint8)


def _coded(image: Image, quality: int) -> Image:
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED), dtype=np.uint8)


CAUSE = Cause(
    name="compression",
    words="strong compression of the stream",
    advice="raise the camera's bit rate or quality; check the network it sends over",
    apply=compression,
    variants=2,
)
