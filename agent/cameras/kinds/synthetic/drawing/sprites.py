"""Drawing the things that move through a scene: one function a class, each a flat image with variation. Pure.

A sprite is drawn around its foot point (x, y) with `size` pixels of height; `facing` is +1 or -1. Colours are BGR.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from agent.core.types import Image

Colour = tuple[int, int, int]
SHIFT = 3  # coordinates carry three binary places, so that slow things glide instead of jumping
ONE = 1 << SHIFT
SKIN: tuple[Colour, ...] = ((140, 170, 215), (90, 125, 175), (60, 85, 125), (170, 195, 230))
HAIR: tuple[Colour, ...] = ((30, 30, 40), (40, 70, 110), (120, 160, 190), (90, 90, 95))
GLASS: Colour = (110, 90, 70)
TYRE: Colour = (28, 28, 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Appearance:
    """What varies from one thing of a class to the next; `phase` (radians) moves limbs."""

    main: Colour
    second: Colour
    variant: float
    facing: int
    phase: float = 0.0


Drawer = Callable[[Image, float, float, float, Appearance], tuple[float, float]]


def _point(x: float, y: float) -> tuple[int, int]:
    return round(x * ONE), round(y * ONE)


def _poly(image: Image, points: list[tuple[float, float]], colour: Colour) -> None:
    array = np.array([_point(x, y) for x, y in points], dtype=np.int32)
    cv2.fillPoly(image, [array], colour, cv2.LINE_AA, SHIFT)


def _rect(image: Image, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
    _poly(image, [(left, top), (right, top), (right, bottom), (left, bottom)], colour)


def _disc(image: Image, x: float, y: float, radius: float, colour: Colour) -> None:
    cv2.circle(image, _point(x, y), max(1, round(radius * ONE)), colour, -1, cv2.LINE_AA, SHIFT)


def _line(
    image: Image, start: tuple[float, float], end: tuple[float, float], colour: Colour, width: float
) -> None:
    cv2.line(image, _point(*start), _point(*end), colour, max(1, round(width)), cv2.LINE_AA, SHIFT)


def darker(colour: Colour, factor: float = 0.7) -> Colour:
    """The colour in shade."""
    return (int(colour[0] * factor), int(colour[1] * factor), int(colour[2] * factor))


def person(image: Image, x: float, y: float, size: float, look: Appearance) -> tuple[float, float]:
    """A walking person; gives (width, height) in pixels."""
    swing = math.sin(look.phase) * 0.16 * size
    hip, neck = y - 0.48 * size, y - 0.82 * size
    girth = (0.10 + 0.05 * look.variant) * size
    for sign in (-1, 1):
        _line(
            image,
            (x, hip),
            (x + sign * swing, y - 0.02 * size),
            darker(look.second, 0.6 + 0.2 * (sign > 0)),
            0.1 * size,
        )
    _poly(
        image,
        [
            (x - girth, neck),
            (x + girth, neck),
            (x + 0.85 * girth, hip + 0.03 * size),
            (x - 0.85 * girth, hip + 0.03 * size),
        ],
        look.main,
    )
    _line(
        image, (x + girth * 0.6, neck + 0.04 * size), (x - swing * 0.8, hip), darker(look.main), 0.06 * size
    )
    pick = int(look.variant * 97)
    _disc(image, x + look.facing * 0.01 * size, y - 0.905 * size, 0.082 * size, SKIN[pick % 4])
    cv2.ellipse(
        image, _point(x, y - 0.925 * size), _point(0.085 * size, 0.075 * size), 0, 180, 360, HAIR[pick // 4 % 4], -1,
        cv2.LINE_AA, SHIFT,
    )  # fmt: skip
    if look.variant > 0.6:  # a bag
        _rect(
            image, x - look.facing * girth - 0.07 * size, neck + 0.05 * size,
            x - look.facing * girth + 0.03 * size, neck + 0.24 * size, darker(look.second, 0.9),
        )  # fmt: skip
    return 2 * max(girth + 0.05 * size, abs(swing) + 0.06 * size), size


def _wheels(image: Image, xs: tuple[float, ...], y: float, radius: float) -> None:
    for x in xs:
        _disc(image, x, y - radius, radius, TYRE)
        _disc(image, x, y - radius, radius * 0.5, (150, 150, 150))


def car(image: Image, x: float, y: float, size: float, look: Appearance) -> tuple[float, float]:
    """A car from the side."""
    half, face = size * (1.25 + 0.2 * look.variant), look.facing
    sill, belt, top = y - 0.18 * size, y - 0.58 * size, y - size
    _poly(
        image,
        [
            (x - half, sill), (x - half, belt + 0.08 * size), (x - 0.95 * half, belt), (x + face * 0.55 * half, belt),
            (x + face * 0.97 * half, belt + 0.12 * size), (x + face * half, sill),
        ] if face > 0 else [
            (x + half, sill), (x + half, belt + 0.08 * size), (x + 0.95 * half, belt), (x - 0.55 * half, belt),
            (x - 0.97 * half, belt + 0.12 * size), (x - half, sill),
        ],
        look.main,
    )  # fmt: skip
    back = -0.85 if look.variant > 0.5 else -0.6  # an estate or a saloon
    _poly(
        image,
        [
            (x + face * back * half, belt), (x + face * (back + 0.15) * half, top),
            (x + face * 0.2 * half, top), (x + face * 0.52 * half, belt),
        ],
        darker(look.main, 0.85),
    )  # fmt: skip
    for left, right in ((back + 0.18, -0.12), (-0.06, 0.38)):
        _poly(
            image,
            [
                (x + face * left * half, belt), (x + face * (left + 0.06) * half, top + 0.08 * size),
                (x + face * min(right, 0.18) * half, top + 0.08 * size), (x + face * right * half, belt),
            ],
            GLASS,
        )  # fmt: skip
    _disc(image, x + face * 0.93 * half, belt + 0.18 * size, 0.05 * size, (190, 240, 250))
    _disc(image, x - face * 0.96 * half, belt + 0.16 * size, 0.045 * size, (50, 50, 210))
    _wheels(image, (x - 0.6 * half, x + 0.6 * half), y, 0.2 * size)
    return 2 * half, size


def truck(image: Image, x: float, y: float, size: float, look: Appearance) -> tuple[float, float]:
    """A lorry with a box body."""
    half, face = size * (1.15 + 0.25 * look.variant), look.facing
    floor = y - 0.16 * size
    ends = sorted((x - face * half, x + face * 0.42 * half))
    _rect(image, ends[0], y - size, ends[1], floor, look.main)
    cv2.rectangle(image, _point(ends[0] + 0.06 * size, y - 0.75 * size), _point(ends[1] - 0.06 * size, y - 0.45 * size),
                  look.second, -1, cv2.LINE_AA, SHIFT)  # fmt: skip
    _poly(
        image,
        [
            (x + face * 0.46 * half, floor), (x + face * 0.46 * half, y - 0.82 * size),
            (x + face * 0.82 * half, y - 0.82 * size), (x + face * half, y - 0.45 * size), (x + face * half, floor),
        ],
        look.second,
    )  # fmt: skip
    _poly(
        image,
        [
            (x + face * 0.6 * half, y - 0.48 * size), (x + face * 0.6 * half, y - 0.74 * size),
            (x + face * 0.8 * half, y - 0.74 * size), (x + face * 0.94 * half, y - 0.48 * size),
        ],
        GLASS,
    )  # fmt: skip
    _wheels(image, (x - 0.75 * half, x - 0.45 * half, x + 0.72 * half), y, 0.14 * size)
    return 2 * half, size


def bicycle(image: Image, x: float, y: float, size: float, look: Appearance) -> tuple[float, float]:
    """A cyclist on a bicycle."""
    face, radius, half = look.facing, 0.19 * size, 0.33 * size
    for wheel in (x - half * 0.85, x + half * 0.85):
        cv2.circle(
            image,
            _point(wheel, y - radius),
            round(radius * ONE),
            TYRE,
            max(1, round(0.035 * size)),
            cv2.LINE_AA,
            SHIFT,
        )
    saddle, bar = (x - face * 0.12 * size, y - 0.45 * size), (x + face * 0.2 * size, y - 0.52 * size)
    crank = (x - face * 0.02 * size, y - radius)
    width = max(1.0, 0.03 * size)
    for start, end in ((saddle, crank), (crank, bar), (saddle, bar), (crank, (x - face * half * 0.85, y - radius)),
                       (bar, (x + face * half * 0.85, y - radius))):  # fmt: skip
        _line(image, start, end, look.second, width)
    knee = (x + face * 0.1 * size, y - 0.36 * size + 0.05 * size * math.sin(look.phase))
    _line(image, saddle, knee, darker(look.second, 0.5), 0.08 * size)
    _line(
        image,
        knee,
        (crank[0], crank[1] + 0.06 * size * math.cos(look.phase)),
        darker(look.second, 0.5),
        0.07 * size,
    )
    shoulder = (x + face * 0.06 * size, y - 0.8 * size)
    _line(image, saddle, shoulder, look.main, 0.14 * size)
    _line(image, shoulder, bar, darker(look.main), 0.06 * size)
    _disc(image, x + face * 0.09 * size, y - 0.91 * size, 0.085 * size, SKIN[int(look.variant * 97) % 4])
    return 2 * (half * 0.85 + radius), size


def forklift(image: Image, x: float, y: float, size: float, look: Appearance) -> tuple[float, float]:
    """A fork-lift truck, sometimes with a pallet."""
    face, half = look.facing, 0.62 * size
    rear, front = sorted((x - face * half, x + face * 0.25 * half))
    _rect(image, rear, y - 0.52 * size, front, y - 0.12 * size, look.main)
    _line(
        image, (x - face * 0.8 * half, y - 0.5 * size), (x - face * 0.62 * half, y - size), TYRE, 0.05 * size
    )
    _line(
        image, (x + face * 0.2 * half, y - 0.5 * size), (x + face * 0.1 * half, y - size), TYRE, 0.05 * size
    )
    _line(
        image,
        (x - face * 0.62 * half, y - 0.98 * size),
        (x + face * 0.12 * half, y - 0.98 * size),
        TYRE,
        0.06 * size,
    )
    _disc(image, x - face * 0.25 * half, y - 0.76 * size, 0.075 * size, SKIN[int(look.variant * 97) % 4])
    _rect(
        image,
        x - face * 0.25 * half - 0.08 * size,
        y - 0.69 * size,
        x - face * 0.25 * half + 0.08 * size,
        y - 0.5 * size,
        (40, 130, 230),
    )
    for offset in (0.36, 0.46):
        _line(
            image,
            (x + face * offset * half, y - 0.04 * size),
            (x + face * offset * half, y - 0.98 * size),
            (60, 60, 65),
            0.035 * size,
        )
    lift = y - (0.08 + 0.3 * look.variant) * size
    _line(image, (x + face * 0.45 * half, lift), (x + face * half, lift), (60, 60, 65), 0.045 * size)
    _wheels(image, (x - face * 0.65 * half, x + face * 0.12 * half), y, 0.15 * size)
    return 2 * half, size


def box(image: Image, x: float, y: float, size: float, look: Appearance) -> tuple[float, float]:
    """A cardboard box."""
    half = size * (0.45 + 0.25 * look.variant)
    _rect(image, x - half, y - size, x + half, y, look.main)
    _rect(image, x - half, y - size, x + half, y - 0.84 * size, darker(look.main, 0.85))
    _rect(image, x - 0.1 * half, y - size, x + 0.1 * half, y, (150, 195, 215))
    _rect(image, x + 0.3 * half, y - 0.55 * size, x + 0.8 * half, y - 0.3 * size, (235, 235, 235))
    return 2 * half, size


def stranger(image: Image, x: float, y: float, size: float, look: Appearance) -> tuple[float, float]:
    """Something no model of ours was trained on: a balloon-like thing, for `other_objects`."""
    _disc(image, x, y - 0.6 * size, 0.4 * size, look.main)
    for index in range(6):
        angle = look.phase + index * math.pi / 3
        tip = (x + 0.55 * size * math.cos(angle), y - 0.6 * size + 0.4 * size * math.sin(angle))
        _line(image, (x, y - 0.6 * size), tip, look.second, 0.06 * size)
    return 1.1 * size, size


CLASSES: tuple[str, ...] = ("person", "car", "truck", "bicycle", "forklift", "box")
DRAWERS: dict[str, Drawer] = {
    "person": person,
    "car": car,
    "truck": truck,
    "bicycle": bicycle,
    "forklift": forklift,
    "box": box,
    "stranger": stranger,
}
