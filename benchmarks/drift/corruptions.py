"""What can go wrong with a camera's picture, at severities 1 to 5, after the idea of ImageNet-C, written for video.

Each is `corrupt(image, severity, seed) -> image`, pictures (H, W, 3) uint8 BGR. `seed` is the frame's: what moves in
reality (noise, drops of it) moves here, what sticks to the lens (dirt, an obstacle) stays where it is.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

Image = np.ndarray
Corruption = Callable[[Image, int, int], Image]


def _level(severity: int, *levels: float) -> float:
    return levels[severity - 1]


def _clipped(image: Image) -> Image:
    return np.clip(image, 0, 255).astype(np.uint8)


def fog(image: Image, severity: int, _seed: int) -> Image:
    """Grey air, thicker towards the top, in slowly varying banks."""
    thickness = _level(severity, 0.15, 0.28, 0.42, 0.56, 0.7)
    height, width = image.shape[:2]
    coarse = np.random.default_rng(3).random((5, 8)).astype(np.float32)
    banks = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * 0.4 + 0.8
    depth = np.linspace(1.0, 0.6, height, dtype=np.float32)[:, None]
    veil = np.clip(thickness * banks * depth, 0, 1)[..., None]
    return _clipped(image * (1 - veil) + 200 * veil)


def darkness(image: Image, severity: int, seed: int) -> Image:
    """Less light, and the sensor's noise that the gain then brings up."""
    light = _level(severity, 0.8, 0.62, 0.45, 0.3, 0.18)
    noise = np.random.default_rng(seed).normal(0, 1.5 + 4 * (1 - light), image.shape)
    return _clipped(image * light + noise)


def gaussian_blur(image: Image, severity: int, _seed: int) -> Image:
    """A soft picture: condensation, a cheap zoom."""
    return cv2.GaussianBlur(image, (0, 0), _level(severity, 0.7, 1.2, 2.0, 3.0, 4.5))


def defocus_blur(image: Image, severity: int, _seed: int) -> Image:
    """A lens out of focus: every point becomes a disc."""
    radius = int(_level(severity, 1, 2, 3, 5, 8))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)).astype(np.float32)
    return cv2.filter2D(image, -1, disc / disc.sum())


def motion_blur(image: Image, severity: int, _seed: int) -> Image:
    """A shaking mount or a long exposure."""
    length = int(_level(severity, 3, 5, 9, 15, 23))
    kernel = np.zeros((length, length), np.float32)
    cv2.line(kernel, (0, length * 2 // 3), (length - 1, length // 3), 1.0)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def sensor_noise(image: Image, severity: int, seed: int) -> Image:
    """Heat or gain."""
    random = np.random.default_rng(seed)
    return _clipped(image + random.normal(0, _level(severity, 3, 6, 10, 16, 25), image.shape))


def jpeg(image: Image, severity: int, _seed: int) -> Image:
    """A codec turned down."""
    quality = int(_level(severity, 60, 40, 25, 15, 8))
    coded = cv2.imdecode(
        cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR
    )
    assert coded is not None
    return coded


def contrast(image: Image, severity: int, _seed: int) -> Image:
    """Haze, a dirty dome, a setting."""
    return _clipped((image - 128.0) * _level(severity, 0.85, 0.7, 0.55, 0.4, 0.25) + 128.0)


def occlusion(image: Image, severity: int, _seed: int) -> Image:
    """Something stands in front of a part of the view: 3 to 40 % of the picture."""
    share = _level(severity, 0.03, 0.07, 0.14, 0.25, 0.4)
    height, width = image.shape[:2]
    changed = image.copy()
    tall, wide = int(height * share**0.5), int(width * share**0.5)
    changed[height - tall :, width // 4 : width // 4 + wide] = (58, 61, 66)
    return changed


def rotation(image: Image, severity: int, _seed: int) -> Image:
    """The camera was knocked: 0.5, 1, 2, 4 or 8 degrees."""
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), _level(severity, 0.5, 1, 2, 4, 8), 1.0)
    return cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REFLECT_101)


def shift(image: Image, severity: int, _seed: int) -> Image:
    """The camera was pushed aside: by 1, 2.5, 5, 10 or 15 % of the width."""
    height, width = image.shape[:2]
    by = _level(severity, 0.01, 0.025, 0.05, 0.1, 0.15) * width
    move = np.array([[1, 0, by], [0, 1, by / 3]], np.float32)
    return cv2.warpAffine(image, move, (width, height), borderMode=cv2.BORDER_REFLECT_101)


def dirt(image: Image, severity: int, _seed: int) -> Image:
    """Blotches on the lens, out of focus, always in the same places."""
    height, width = image.shape[:2]
    random = np.random.default_rng(5)
    mask = np.zeros((height // 4, width // 4), np.float32)
    for _ in range(int(_level(severity, 4, 8, 14, 22, 34))):
        at = int(random.integers(width // 4)), int(random.integers(height // 4))
        cv2.circle(mask, at, int(random.integers(3, 9)), float(random.uniform(0.4, 0.95)), -1)
    soft = cv2.resize(cv2.GaussianBlur(mask, (0, 0), 2.0), (width, height))[..., None]
    return _clipped(image * (1 - soft) + np.array([40, 52, 60], np.float32) * soft)


def colour_cast(image: Image, severity: int, _seed: int) -> Image:
    """A white balance gone wrong, towards red."""
    strength = _level(severity, 0.08, 0.16, 0.26, 0.38, 0.5)
    return _clipped(image * np.array([1 - strength, 1.0, 1 + 0.7 * strength], np.float32))


CORRUPTIONS: dict[str, Corruption] = {
    each.__name__: each
    for each in (
        fog, darkness, gaussian_blur, defocus_blur, motion_blur, sensor_noise, jpeg, contrast, occlusion,
        rotation, shift, dirt, colour_cast,
    )
}  # fmt: skip
