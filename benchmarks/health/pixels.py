"""What the worlds are made with: noise, exposure and light of a frame."""

from __future__ import annotations

import functools
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Change = Callable[[Image, float], Image]
"""What a frame (h, w, 3) uint8 BGR becomes, so many seconds after the change began."""


@functools.cache
def _grains(height: int, width: int, spread: float) -> NDArray[np.int16]:
    rng = np.random.default_rng(7)
    noise = rng.standard_normal((height + 61, width + 67, 3), dtype=np.float32) * np.float32(spread)
    return np.rint(noise).astype(np.int16)


def grain(image: Image, t: float, spread: float) -> Image:
    """Sensor noise of `spread` levels, of a camera of 768 pixels: fewer pixels are larger."""
    height, width = image.shape[:2]
    bank = _grains(height, width, round(spread * 4 * width / 768) / 4)
    y, x = int(t * 4) * 7919 % 61, int(t * 4) * 104729 % 67
    return cv2.add(image, bank[y : y + height, x : x + width], dtype=cv2.CV_8U)


def lit(image: Image, gain: float, offset: float = 0.0) -> Image:
    """The picture at another exposure."""
    return cv2.convertScaleAbs(image, alpha=gain, beta=offset)


def clipped(image: NDArray[np.float32]) -> Image:
    """A frame of levels that may be below 0 or above 255."""
    return cv2.convertScaleAbs(cv2.max(image, 0.0))


@functools.cache
def grid(height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """y and x of each pixel in shares of the frame."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return y / height, x / width


def spot(image: Image, x: float, y: float, radius: float, level: float) -> Image:
    """A round light of `radius` (share of the width) at x, y (shares)."""
    height, width = image.shape[:2]
    ys, xs = (axis[::4, ::4] for axis in grid(height, width))  # smooth: a sixteenth of it is enough
    light = level * cv2.exp(-((xs - x) ** 2 + ((ys - y) * height / width) ** 2) / (2 * radius * radius))
    whole = cv2.resize(light, (width, height)).astype(np.int16)
    return cv2.add(image, cv2.merge([whole] * 3), dtype=cv2.CV_8U)


@functools.cache
def vignette(height: int, width: int) -> NDArray[np.float32]:
    """How much of a lamp beside the lens reaches each pixel (h, w, 3)."""
    ys, xs = grid(height, width)
    falls = np.float32(1.1) - np.float32(1.5) * ((xs - 0.5) ** 2 + (ys - 0.5) ** 2)
    return np.ascontiguousarray(np.repeat(falls[..., None], 3, axis=2))


def grain_grey(image: Image, t: float, spread: float) -> Image:
    """Noise of the brightness alone, as a grey stream has it."""
    noisy = grain(image, t, spread)
    return cv2.cvtColor(noisy[..., 1], cv2.COLOR_GRAY2BGR)
