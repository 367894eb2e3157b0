"""Faults of a camera and of its view, as changes of a frame."""

from __future__ import annotations

import functools
import math

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.cameras.health.judge import SAMPLE_SECONDS
from benchmarks.health.pixels import Change, Image, clipped, grain, lit


def defocused(image: Image, radius: float) -> Image:
    """Out of focus by `radius` (share of the width)."""
    sigma = image.shape[1] * radius
    return cv2.GaussianBlur(image, (0, 0), sigma) if sigma > 0.2 else image


def defocus_ramp(minutes: float, radius: float) -> Change:
    """The focus drifts away by `radius` within `minutes`."""
    return lambda image, t: grain(defocused(image, radius * min(1.0, t / (60 * minutes))), t, 1.5)


def fogged(image: Image, strength: float) -> Image:
    """Droplets on the lens: a bright veil and some softness."""
    soft = cv2.GaussianBlur(image, (0, 0), 0.3 + image.shape[1] * strength / 250)
    return lit(soft, 1 - strength, 190 * strength)


def fog_ramp(minutes: float, most: float) -> Change:
    """The lens fogs over within `minutes`."""
    return lambda image, t: grain(fogged(image, most * min(1.0, t / (60 * minutes))), t, 1.5)


@functools.cache
def _web(height: int, width: int) -> NDArray[np.float32]:
    """Strands of a web close to the lens, out of focus: 0..1 (h, w, 1)."""
    canvas = np.zeros((height, width), np.float32)
    centre = (int(width * 0.4), int(height * 0.45))
    for turn in np.arange(0, 2 * math.pi, math.pi / 9):
        end = (int(centre[0] + width * 0.5 * math.cos(turn)), int(centre[1] + width * 0.5 * math.sin(turn)))
        cv2.line(canvas, centre, end, 1.0, max(2, width // 160))
    for ring in range(1, 9):
        cv2.ellipse(
            canvas, centre, (width * ring // 18, width * ring // 20), 0, 0, 360, 1.0, max(2, width // 200)
        )
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), width / 220), np.float32)[..., None]


def web(image: Image, t: float) -> Image:
    """A spider's web before the lens that sways a little."""
    strands = np.roll(_web(*image.shape[:2]), round(2 * math.sin(t)), axis=1)
    return clipped(image.astype(np.float32) * (1 - 0.75 * strands) + 150 * strands)


def leaf(image: Image, t: float) -> Image:
    """Something close covers 40 % of the view."""
    out = image.copy()
    out[:, : int(image.shape[1] * 0.4)] = (40, 70, 55)
    return grain(out, t, 2)


@functools.cache
def _hand(height: int, width: int) -> NDArray[np.float32]:
    """Where something round and out of focus is, 0..1 (h, w, 1): over a third of the view, from below on the right."""
    canvas = np.zeros((height, width), np.float32)
    cv2.ellipse(
        canvas, (int(width * 0.8), height), (int(width * 0.42), int(height * 0.72)), 20, 0, 360, 1.0, -1
    )
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), width / 30), np.float32)[..., None]


def hand(image: Image, t: float) -> Image:
    """Something close with soft edges and a shade of its own, in the light of the scene."""
    there = np.roll(_hand(*image.shape[:2]), round(image.shape[1] / 80 * math.sin(t / 7)), axis=1)
    shade = np.linspace(90, 150, image.shape[0], dtype=np.float32)[:, None, None] * np.float32(
        image.mean() / 128
    )
    return grain(clipped(image.astype(np.float32) * (1 - there) + shade * there), t, 2)


def clocked(image: Image, t: float) -> Image:
    """A burnt-in clock."""
    image, second = image.copy(), int(t) + 43200
    text = f"2026-11-26 {second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    scale = image.shape[1] / 1000
    for colour, thick in ((0, 4), (255, 2)):
        cv2.putText(image, text, (10, int(46 * scale)), cv2.FONT_HERSHEY_SIMPLEX, scale, (colour,) * 3, thick)
    return image


class Held:
    """The first frame that it is given, for ever, under a clock."""

    def __init__(self) -> None:
        self.image: Image | None = None

    def __call__(self, image: Image, t: float) -> Image:
        """The held frame."""
        self.image = image if self.image is None or t < SAMPLE_SECONDS else self.image
        return clocked(self.image, t)


def shifted(image: Image, _t: float) -> Image:
    """Another aim, a tenth aside."""
    height, width = image.shape[:2]
    return cv2.warpAffine(
        image, np.array([[1, 0, 0.1 * width], [0, 1, 0]], np.float32), (width, height), borderMode=2
    )


def covered(image: Image, t: float) -> Image:
    """A cloth over the lens."""
    return grain(cv2.resize(cv2.resize(lit(image, 0.25, 60), (6, 4)), image.shape[1::-1]), t, 2)
