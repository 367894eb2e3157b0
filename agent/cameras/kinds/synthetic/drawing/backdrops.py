"""The places: what does not move, painted once, and the lanes on which things pass. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from agent.cameras.kinds.synthetic.drawing.sprites import Colour
from agent.core.types import Image

Random = np.random.Generator


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A line along which things pass: `y` and `size` in image heights, `speed` in image widths a second."""

    y: float
    size: float
    speed: float
    facing: int
    arrivals_per_second: float
    classes: tuple[str, ...]

    @property
    def longest_seconds(self) -> float:
        """The longest time that anything stays in the image."""
        return 2.2 / (0.7 * self.speed)


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneLayout:
    """A kind of place."""

    paint: Callable[[Random, int, int], Image]
    lanes: tuple[Lane, ...]
    lamps: tuple[tuple[float, float], ...]


def _rough(random: Random, image: Image, top: int, bottom: int, amount: float) -> None:
    """A texture on a band of the image: fine grain on coarse patches."""
    height, width = bottom - top, image.shape[1]
    coarse = cv2.resize(
        random.normal(0, amount, (max(2, height // 12), width // 12)).astype(np.float32), (width, height)
    )
    grain = coarse + random.normal(0, amount * 0.7, (height, width)).astype(np.float32)
    image[top:bottom] = np.clip(image[top:bottom].astype(np.float32) + grain[..., None], 0, 255).astype(
        np.uint8
    )


def _shaded(random: Random, base: tuple[int, int, int], spread: int) -> Colour:
    shift = int(random.integers(-spread, spread + 1))
    return base[0] + shift, base[1] + shift, base[2] + shift


def street(random: Random, width: int, height: int) -> Image:
    """House fronts, pavements, a road of two lanes."""
    image = np.zeros((height, width, 3), np.uint8)
    horizon, kerb, far, near = int(0.14 * height), int(0.46 * height), int(0.52 * height), int(0.83 * height)
    for row in range(horizon + 30):
        image[row] = (225 - row // 3, 205 - row // 3, 185 - row // 3)
    left = -int(random.integers(0, 60))
    while left < width:
        wide, top = int(random.integers(90, 170)), int(random.integers(4, horizon + 14))
        wall = [(110, 135, 165), (150, 165, 175), (95, 115, 150), (140, 150, 140), (125, 140, 185)][
            int(random.integers(5))
        ]
        cv2.rectangle(image, (left, top), (left + wide, kerb), _shaded(random, wall, 12), -1)
        for x in range(left + 12, left + wide - 18, 28):
            for y in range(top + 12, kerb - 44, 34):
                pane = (95, 85, 75) if random.random() < 0.75 else (150, 190, 205)
                cv2.rectangle(image, (x, y), (x + 14, y + 20), pane, -1)
                cv2.rectangle(image, (x, y), (x + 14, y + 20), (205, 210, 215), 1)
        door = left + int(wide * 0.45)
        cv2.rectangle(image, (door, kerb - 38), (door + 18, kerb), (50, 60, 85), -1)
        left += wide
    image[kerb:far] = (150, 155, 158)
    image[far:near] = (82, 80, 80)
    image[near:] = (160, 164, 168)
    cv2.line(image, (0, far), (width, far), (185, 188, 190), 3)
    cv2.line(image, (0, near), (width, near), (190, 192, 195), 4)
    for x in range(-20, width, 70):
        cv2.line(image, (x, (far + near) // 2), (x + 36, (far + near) // 2), (200, 205, 208), 3)
    for x in range(0, width, 48):
        cv2.line(image, (x, near), (x - 20, height), (146, 150, 154), 1)
    for x in (width // 5, width * 4 // 5):
        cv2.line(image, (x, kerb + 8), (x, int(0.1 * height)), (70, 75, 70), 4)
        cv2.ellipse(image, (x, int(0.1 * height)), (12, 5), 0, 0, 360, (190, 215, 225), -1)
    for x in (width * 2 // 25, width * 13 // 25, width * 93 // 100):
        cv2.circle(image, (x, kerb - 24), 20, _shaded(random, (60, 110, 70), 15), -1, cv2.LINE_AA)
        cv2.line(image, (x, kerb - 10), (x, kerb + 3), (45, 65, 80), 5)
    _rough(random, image, 0, height, 3.5)
    return image


def warehouse(random: Random, width: int, height: int) -> Image:
    """Shelves along the back wall, a marked floor, a conveyor in front."""
    image = np.full((height, width, 3), (176, 180, 182), np.uint8)
    wall, belt = int(0.50 * height), int(0.86 * height)
    image[:wall] = (168, 160, 150)
    image[wall:belt] = (158, 163, 160)
    for x in range(6, width, 106):
        cv2.rectangle(image, (x, 10), (x + 92, wall - 4), (120, 112, 104), -1)
        for shelf in range(4):
            y = 36 + shelf * (wall - 44) // 4 + 8
            cv2.line(image, (x, y), (x + 92, y), (40, 95, 200), 4)
            place = x + 5
            while place < x + 80:
                wide, tall = int(random.integers(10, 24)), int(random.integers(10, 26))
                if random.random() < 0.7:
                    cv2.rectangle(
                        image,
                        (place, y - 2 - tall),
                        (place + wide, y - 2),
                        _shaded(random, (105, 120, 130), 22),
                        -1,
                    )
                place += wide + 3
        for post in (x, x + 92):
            cv2.line(image, (post, 6), (post, wall), (150, 85, 40), 5)
    for y in (wall + 12, belt - 8):
        cv2.line(image, (0, y), (width, y), (60, 200, 230), 4)
    for x in range(-40, width + 200, 150):
        cv2.line(image, (x, wall + 12), (x - 60, belt - 8), (140, 146, 144), 1)
    image[belt:] = (70, 72, 74)
    cv2.rectangle(image, (0, belt), (width, belt + 5), (125, 128, 130), -1)
    for x in range(0, width, 26):
        cv2.line(image, (x, belt + 6), (x, height), (58, 60, 62), 2)
    _rough(random, image, 0, height, 3.0)
    return image


LAYOUTS: dict[str, SceneLayout] = {
    "street": SceneLayout(
        paint=street,
        lanes=(
            Lane(
                y=0.51,
                size=0.17,
                speed=0.05,
                facing=1,
                arrivals_per_second=0.07,
                classes=("person", "person", "bicycle"),
            ),
            Lane(
                y=0.65,
                size=0.20,
                speed=0.07,
                facing=-1,
                arrivals_per_second=0.13,
                classes=("car", "car", "truck", "bicycle"),
            ),
            Lane(
                y=0.81,
                size=0.25,
                speed=0.08,
                facing=1,
                arrivals_per_second=0.13,
                classes=("car", "car", "truck", "bicycle"),
            ),
            Lane(
                y=0.96,
                size=0.34,
                speed=0.06,
                facing=-1,
                arrivals_per_second=0.06,
                classes=("person", "person", "bicycle"),
            ),
        ),
        lamps=((0.2, 0.12), (0.8, 0.12), (0.5, 0.6)),
    ),
    "warehouse": SceneLayout(
        paint=warehouse,
        lanes=(
            Lane(
                y=0.60,
                size=0.26,
                speed=0.06,
                facing=1,
                arrivals_per_second=0.08,
                classes=("person", "forklift"),
            ),
            Lane(
                y=0.78,
                size=0.33,
                speed=0.07,
                facing=-1,
                arrivals_per_second=0.08,
                classes=("forklift", "forklift", "person"),
            ),
            Lane(y=0.97, size=0.14, speed=0.05, facing=1, arrivals_per_second=0.22, classes=("box",)),
        ),
        lamps=((0.15, 0.2), (0.5, 0.2), (0.85, 0.2)),
    ),
}
