"""Features of the frame itself: light, colour, detail, noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.features.definition import Family, Feature
from agent.features.view import View

DARK, BRIGHT = 4, 251
"""Grey levels up to and from which a pixel counts as clipped; averaging blurs the very ends."""

CLIPPED_FREE = 0.005
"""Share of clipped pixels that counts for nothing: a single glint where there never was one is a change to a statistic,
but to nobody else. In steps instead, it would be a coarse number, which is harder to judge."""

LOG_OFFSET = 1.0
"""Grey level added to channel means before their logarithm: in the dark the colour of noise says nothing."""

NOISE_QUARTILE = 0.25
"""Which tile's noise counts: the flat ones; texture raises an estimate, hardly anything lowers it."""

_IMMERKAER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GreyLevels:
    """`mean` and `deviation` of the grey levels, the `share` (256,) of pixels at each, and the `colour` cast."""

    mean: float
    deviation: float
    share: NDArray[np.float32]
    colour: ColourCast
    view: View


class ColourCast(NamedTuple):
    """0, 0 for a grey world."""

    warmth: float
    tint: float


def prepare(view: View) -> GreyLevels:
    """Statistics of the small copy."""
    mean, deviation = cv2.meanStdDev(view.grey, mask=view.kept)
    counts = cv2.calcHist([view.grey], [0], view.kept, [256], [0, 256]).ravel()
    return GreyLevels(
        mean=float(mean[0, 0]),
        deviation=float(deviation[0, 0]),
        share=counts / max(1.0, float(counts.sum())),
        colour=colour_cast(view.small, view.kept),
        view=view,
    )


def sharpness(tiles: NDArray[np.uint8]) -> float:
    """Mean over the tiles' pixels of the squared Laplacian `4 p - (up + down + left + right)`.

    For tiles (n, t, t). The "energy of Laplacian" of Subbarao, Choi and Nikzad (1993); NaN where t < 3 or n is 0.
    """
    if len(tiles) == 0:
        return math.nan
    inner = _interior(cv2.Laplacian(_stack(tiles), cv2.CV_16S), tiles.shape)
    if inner.size == 0:
        return math.nan
    return float(np.square(inner, dtype=np.int32).mean())


def noise(tiles: NDArray[np.uint8]) -> float:
    """Standard deviation of the sensor's noise in grey levels, from tiles (n, t, t) at native resolution.

    Immerkær, "Fast noise variance estimation" (1996): `sqrt(pi / 2) / 6 * mean |I * M|` with the difference
    of two Laplacians M, which no linear edge passes; the lower quartile over the tiles that are neither black
    nor burnt out. NaN where there is none, or t < 3.
    """
    if len(tiles) == 0:
        return math.nan
    inner = _interior(cv2.filter2D(_stack(tiles), cv2.CV_32F, _IMMERKAER), tiles.shape)
    means = tiles.mean(axis=(1, 2))
    lit = (means > 2 * DARK) & (means < 2 * BRIGHT - 255)
    if inner.size == 0 or not lit.any():
        return math.nan
    sigmas = np.sort(math.sqrt(math.pi / 2) / 6 * np.abs(inner[lit]).mean(axis=(1, 2)))
    return float(sigmas[int(NOISE_QUARTILE * (len(sigmas) - 1))])


def saturation(small: NDArray[np.uint8]) -> float:
    """Sum of (largest - smallest channel) over sum of largest channel, 0..1 (weighs dark pixels little).

    NaN for a frame that is all zero.
    """
    blue, green, red = cv2.split(small)
    high = cv2.sumElems(cv2.max(cv2.max(blue, green), red))[0]
    low = cv2.sumElems(cv2.min(cv2.min(blue, green), red))[0]
    return (high - low) / high if high else math.nan


def colour_cast(small: NDArray[np.uint8], kept: NDArray[np.uint8] | None = None) -> ColourCast:
    """(warmth, tint) = (ln(R / B), ln(G / sqrt(R B))) of the channel means, over the pixels `kept`."""
    blue, green, red = (math.log(level + LOG_OFFSET) for level in cv2.mean(small, kept)[:3])
    return ColourCast(red - blue, green - (red + blue) / 2)


def clipped(share: float) -> float:
    """What of a share (0..1) of pixels is beyond CLIPPED_FREE.

    >>> clipped(0.004), clipped(0.255)
    (0.0, 0.25)
    """
    return max(0.0, share - CLIPPED_FREE)


def entropy(share: NDArray[np.float32]) -> float:
    """Shannon entropy in bits of the grey levels' shares (256,): 0 for a flat frame, at most 8."""
    present = share[share > 0]
    return abs(float(-(present * np.log2(present)).sum()))


def _stack(tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The tiles under one another, for one filter call over all of them."""
    return tiles.reshape(-1, tiles.shape[2])


def _interior(filtered: NDArray[np.generic], shape: tuple[int, ...]) -> NDArray[np.generic]:
    """The filtered tiles without their rims, where the filter reached into another tile."""
    return filtered.reshape(shape)[:, 1:-1, 1:-1]


FAMILY = Family(
    "image",
    prepare,
    (
        Feature("brightness", "levels", "Mean grey level, 0..255.", lambda light: light.mean),
        Feature(
            "contrast", "levels", "Standard deviation of the grey levels.", lambda light: light.deviation
        ),
        Feature(
            "sharpness",
            "levels²",
            "Energy of the Laplacian at native resolution; falls with blur.",
            lambda light: sharpness(light.view.tiles),
        ),
        Feature(
            "saturation",
            "ratio",
            "Colourfulness: 0 grey, 1 pure colours. NaN for an all-zero frame.",
            lambda light: saturation(light.view.small),
        ),
        Feature(
            "warmth",
            "ln",
            "Colour cast from blue (negative) to red (positive).",
            lambda light: light.colour.warmth,
        ),
        Feature(
            "tint",
            "ln",
            "Colour cast from magenta (negative) to green (positive).",
            lambda light: light.colour.tint,
        ),
        Feature(
            "noise",
            "levels",
            "Sensor noise (standard deviation). NaN where all is black or burnt out.",
            lambda light: noise(light.view.tiles),
        ),
        Feature(
            "entropy",
            "bits",
            "Entropy of the grey levels, 0..8; falls in fog and in the dark.",
            lambda light: entropy(light.share),
        ),
        Feature(
            "clipped_dark",
            "ratio",
            "Share of pixels that are black, beyond 0.005.",
            lambda light: clipped(float(light.share[: DARK + 1].sum())),
        ),
        Feature(
            "clipped_bright",
            "ratio",
            "Share of pixels that are burnt out, beyond 0.005.",
            lambda light: clipped(float(light.share[BRIGHT:].sum())),
        ),
    ),
)
