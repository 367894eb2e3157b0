"""What can happen to a camera's image: fog, dirt, a knock, ... each a pure function of image and strength."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from agent.core.types import Image

Effect = Callable[[Image, float], Image]


def fog(image: Image, strength: float) -> Image:
    """Grey air, thicker towards the top of the image (further away)."""
    height = image.shape[0]
    depth = np.linspace(1.0, 0.55, height, dtype=np.float32)[:, None, None] * min(1.0, 0.9 * strength)
    return np.asarray(image * (1 - depth) + 205 * depth, dtype=np.uint8)


def darkness(image: Image, strength: float) -> Image:
    """Light that went out."""
    changed: Image = cv2.convertScaleAbs(image, alpha=1 - 0.85 * strength)
    return changed


def blur(image: Image, strength: float) -> Image:
    """A lens out of focus."""
    changed: Image = cv2.GaussianBlur(image, (0, 0), 0.3 + 4.5 * strength)
    return changed


def dirt(image: Image, strength: float) -> Image:
    """Blotches on the lens, out of focus and always in the same places."""
    height, width = image.shape[:2]
    random = np.random.default_rng(5)
    mask = np.zeros((height // 4, width // 4), np.float32)
    for _ in range(int(4 + 26 * strength)):
        centre = (int(random.integers(width // 4)), int(random.integers(height // 4)))
        cv2.circle(
            mask, centre, int(random.integers(3, 5 + int(height / 26))), float(random.uniform(0.5, 1.0)), -1
        )
    soft = cv2.resize(cv2.GaussianBlur(mask, (0, 0), 2.0), (width, height))[..., None] * min(
        1.0, 0.5 + strength / 2
    )
    return np.asarray(image * (1 - soft) + np.array([38, 52, 62], np.float32) * soft, dtype=np.uint8)


def knocked(image: Image, strength: float) -> Image:
    """The camera turned and shifted."""
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 9.0 * strength, 1.0 + 0.08 * strength)
    turn[:, 2] += (0.16 * strength * width, 0.09 * strength * height)
    changed: Image = cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    return changed


def colour_cast(image: Image, strength: float) -> Image:
    """A white balance gone wrong."""
    gains = np.array([1 - 0.4 * strength, 1.0, 1 + 0.3 * strength], np.float32)
    return np.asarray(np.clip(image * gains, 0, 255), dtype=np.uint8)


def overexposed(image: Image, strength: float) -> Image:
    """A gain stuck too high."""
    changed: Image = cv2.convertScaleAbs(image, alpha=1 + 5 * strength, beta=60 * strength)
    return changed


def black(image: Image, _strength: float) -> Image:
    """No image, though frames arrive."""
    return np.zeros_like(image)


def covered(image: Image, _strength: float) -> Image:
    """Something over the lens: almost no structure is left."""
    average = image.reshape(-1, 3).mean(axis=0)
    glow = cv2.resize(image[::90, ::90], (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
    veil = cv2.GaussianBlur(glow, (0, 0), 40)
    return np.asarray(veil * 0.06 + 0.25 * average + 18, dtype=np.uint8)


EFFECTS: Mapping[str, Effect] = {
    "knocked": knocked,
    "blur": blur,
    "fog": fog,
    "darkness": darkness,
    "colour_cast": colour_cast,
    "overexposed": overexposed,
    "dirt": dirt,
    "covered": covered,
    "black": black,
}
"""In the order in which they are applied."""

DRAWN: tuple[str, ...] = ("other_objects", "noise")
"""Disturbances that the scene itself draws."""

DISTURBANCES: tuple[str, ...] = (*EFFECTS, *DRAWN, "frozen")


def apply(image: Image, strengths: Mapping[str, float]) -> Image:
    """The image (H, W, 3) after every effect in `strengths` (0..1)."""
    for name, effect in EFFECTS.items():
        if strengths.get(name, 0.0) > 0:
            image = effect(image, strengths[name])
    return image
