"""What light, weather and a PTZ tour do to a frame: none of it is a fault."""

from __future__ import annotations

import functools
import math

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.health.pixels import Change, Image, clipped, grain, grain_grey, lit, spot, vignette


def infrared(image: Image, t: float) -> Image:
    """Night mode: grey, lit by the camera's own lamps, with the noise of a high gain."""
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return grain_grey(clipped(grey.astype(np.float32) * vignette(*image.shape[:2]) * 0.8), t, 6)


def infrared_by_turns(image: Image, t: float) -> Image:
    """Infrared and back every three minutes."""
    return infrared(image, t) if t // 180 % 2 == 0 else image


def dark(gain: float, spread: float) -> Change:
    """A night without lights."""
    return lambda image, t: grain(lit(image, gain), t, spread)


def headlights(gain: float, spread: float, period: float) -> Change:
    """A night street: a car's lights cross the view in six seconds, again and again."""

    def night(image: Image, t: float) -> Image:
        image = lit(image, gain)
        at = (t % period) / 6.0
        if at < 1.0:
            image = spot(spot(image, at * 1.4 - 0.2, 0.6, 0.04, 400), at * 1.4 - 0.15, 0.7, 0.18, 90)
        return grain(image, t, spread)

    return night


def glare(minutes: float, level: float = 330.0) -> Change:
    """The sun passes through the view's corner: a burnt-out spot, and a veil over all of it."""

    def sunny(image: Image, t: float) -> Image:
        strength = max(0.0, math.sin(math.pi * t / (60 * minutes))) ** 2 if t < 60 * minutes else 0.0
        if strength == 0.0:
            return image
        veiled = lit(image, 1 - 0.35 * strength, 70 * strength)
        return spot(veiled, 0.3 + 0.3 * t / (60 * minutes), 0.2, 0.22, level * strength)

    return sunny


PRESETS = ((0.0, 0.0, 0.55), (0.45, 0.1, 0.55), (0.2, 0.4, 0.6))


def toured(dwell: float, presets: tuple[tuple[float, float, float], ...] = PRESETS) -> Change:
    """A PTZ tour: each preset (x, y, share of the view) for `dwell` seconds, two seconds from one to the next."""

    def tour(image: Image, t: float) -> Image:
        t += dwell / 2
        index, within = int(t // dwell), t % dwell
        now, then = presets[index % len(presets)], presets[(index + 1) % len(presets)]
        way = max(0.0, (within - dwell + 2) / 2)
        x, y, share = ((1 - way) * a + way * b for a, b in zip(now, then, strict=True))
        height, width = image.shape[:2]
        part = image[int(y * height) : int((y + share) * height), int(x * width) : int((x + share) * width)]
        return cv2.resize(part, (width, height), interpolation=cv2.INTER_CUBIC)

    return tour


def swaying(share: float) -> Change:
    """A pole in the wind; `share` of the width to each side."""

    def sway(image: Image, t: float) -> Image:
        height, width = image.shape[:2]
        dx = width * share * math.sin(t * 5.1) * (0.6 + 0.4 * math.sin(t / 9))
        dy = width * share / 2 * math.sin(t * 7.3)
        return cv2.warpAffine(
            image, np.array([[1, 0, dx], [0, 1, dy]], np.float32), (width, height), borderMode=1
        )

    return sway


def rain(image: Image, t: float) -> Image:
    """Streaks, less contrast, duller light."""
    rng = np.random.default_rng(int(t * 4))
    out = lit(image, 0.7, 35)
    height, width = out.shape[:2]
    for x, y, length in rng.random((260, 3)):
        a = (int(x * width), int(y * height))
        cv2.line(out, a, (a[0] + 2, a[1] + int(8 + 18 * length)), (190, 190, 190), 1, cv2.LINE_AA)
    return cv2.addWeighted(out, 0.7, lit(image, 0.7, 35), 0.3, 0)


def dusk(minutes: float, least: float) -> Change:
    """Light fades to `least` and returns within `minutes`; the noise grows as it fades."""

    def fading(image: Image, t: float) -> Image:
        gain = least ** (0.5 - 0.5 * math.cos(2 * math.pi * t / (60 * minutes)))
        return grain(lit(image, gain), t, 1 + 5 * (1 - gain))

    return fading


def clouds(image: Image, t: float) -> Image:
    """The sun comes and goes: the exposure follows within seconds, and shadows with it."""
    return lit(image, 1.0 + 0.35 * math.tanh(4 * math.sin(t / 37)), 15 * math.sin(t / 90))


@functools.cache
def _leaves(height: int, width: int) -> NDArray[np.float32]:
    """Where the shadow of a tree lies, 0..1 (h, w, 1): spots of two to six hundredths of the width, hard at the edge."""
    random = np.random.default_rng(11).standard_normal((height, width), dtype=np.float32)
    spots = cv2.GaussianBlur(random, (0, 0), width / 45)
    lies = (spots > 0).astype(np.float32)
    lies[:, : width // 4] = 0.0
    return np.asarray(cv2.GaussianBlur(lies, (0, 0), width / 400), np.float32)[..., None]


def tree_shadows(first: bool, minutes: float) -> Change:
    """The sun by turns of so many minutes, through a tree: three quarters of the view lie in spots of light and shade.

    Shade has half of the level that sun has (a fifth of the light); `first` says whether the sun shines at the start.
    """

    def shaded(image: Image, t: float) -> Image:
        if (int(max(t, -1.0) // (60 * minutes)) % 2 == 0) == first:
            return grain(clipped(image * (1.0 - 0.55 * _leaves(*image.shape[:2]))), t, 1.5)
        return grain(lit(image, 0.6), t, 1.5)

    return shaded


def lamps_out(image: Image, t: float) -> Image:
    """The lamps over half of the room go out for four minutes in eight."""
    if t % 480 >= 240:
        return image
    ramp = np.clip(np.linspace(-1.5, 2.5, image.shape[1], dtype=np.float32), 0.0, 1.0)[None, :, None]
    return grain(clipped(image.astype(np.float32) * (0.3 + 0.7 * ramp)), t, 2.5)


def lorry(image: Image, t: float) -> Image:
    """A lorry stands before the left half of the view for 75 s in every three minutes: a plain side with lines on it."""
    if not 60 <= t % 180 < 135:
        return image
    out, (height, width) = image.copy(), image.shape[:2]
    out[height // 5 : height * 9 // 10, : width // 2] = (150, 140, 135)
    for y in (0.25, 0.5, 0.7):
        cv2.line(
            out, (0, int(y * height)), (width // 2, int(y * height)), (60, 50, 140), max(2, height // 80)
        )
    return grain(out, t, 1.5)


def snow(minutes: float) -> Change:
    """Snow covers the ground, the lower half, within so many minutes, and stays."""

    def falling(image: Image, t: float) -> Image:
        depth = min(0.9, t / (60 * minutes))
        below = (
            np.clip(np.linspace(-2.0, 3.0, image.shape[0], dtype=np.float32), 0.0, 1.0)[:, None, None] * depth
        )
        white = image.mean() * 1.5
        return grain(clipped(image.astype(np.float32) * (1 - below) + white * below), t, 1.5)

    return falling


def day(minutes: float) -> Change:
    """A whole day in `minutes`: night with headlights, dawn, clouds, glare, rain, dusk, infrared."""
    parts: tuple[tuple[float, Change], ...] = (
        (0.15, headlights(0.1, 5, 40)),
        (0.25, lambda image, t: grain(lit(image, 0.1 ** (1 - t / (0.1 * 60 * minutes))), t, 3)),
        (0.4, clouds), (0.5, glare(minutes * 0.1)), (0.6, rain), (0.7, swaying(0.005)),
        (0.8, lambda image, t: grain(lit(image, 0.15 ** (t / (0.1 * 60 * minutes))), t, 3)), (1.0, infrared),
    )  # fmt: skip

    def passing(image: Image, t: float) -> Image:
        at, start = t / (60 * minutes) % 1.0, 0.0
        for end, change in parts:
            if at < end:
                return change(image, (at - start) * 60 * minutes)
            start = end
        return image

    return passing


def night_and_day(image: Image, t: float) -> Image:
    """A day of 24 hours by the clock, from midnight on, with a tour before noon."""
    hour = t / 3600 % 24
    start, change = next((start, change) for start, end, change in _HOURS if start <= hour < end)
    return change(image, (hour - start) * 3600)


def _fading(hours: float, least: float, *, back: bool) -> Change:
    """Light that falls to `least` within so many hours, or comes `back` from there; noise grows as it fades."""

    def fading(image: Image, t: float) -> Image:
        share = min(1.0, t / (3600 * hours))
        gain = least ** (1 - share if back else share)
        return grain(lit(image, gain), t, 1 + 4 * (1 - gain))

    return fading


def _unchanged(image: Image, _t: float) -> Image:
    return image


_HOURS: tuple[tuple[float, float, Change], ...] = (
    (0, 3, headlights(0.1, 5, 40)), (3, 5, headlights(0.1, 5, 600)), (5, 7, _fading(2, 0.1, back=True)),
    (7, 8, glare(25)), (8, 10, clouds), (10, 11.5, toured(25)), (11.5, 13, toured(60)), (13, 14, _unchanged),
    (14, 16, rain), (16, 17, swaying(0.014)), (17, 18, tree_shadows(True, 7)), (18, 20, _fading(2, 0.1, back=False)),
    (20, 22, headlights(0.1, 5, 150)), (22, 24, infrared),
)  # fmt: skip
