"""A scene as a function of time: who is where at `t`, drawn with light, shadows and sensor noise. Pure.

Things arrive on lanes as a Poisson-like process: for each lane and slot of time, numbers drawn from
(seed, lane, slot) decide who comes, so any moment can be drawn without the moments before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.cameras.kinds.synthetic.drawing.backdrops import LAYOUTS, Lane, SceneLayout
from agent.cameras.kinds.synthetic.drawing.sprites import CLASSES, DRAWERS, Appearance, Colour
from agent.core.types import Image

SLOT_SECONDS = 2.5
NOISE_TILES = 6
HEIGHT_FACTORS = {"truck": 1.6, "person": 1.15, "bicycle": 1.1, "car": 0.75}
SPEED_FACTORS = {"car": 3.0, "truck": 2.4, "bicycle": 2.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneObject:
    """One thing at one moment: class name, foot point and height in pixels, and how it looks."""

    name: str
    x: float
    y: float
    size: float
    look: Appearance


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DrawnImage:
    """A drawn image (H, W, 3) uint8 BGR with its true boxes (n, 4) float32 xyxy and class ids (n,) int64."""

    image: Image
    boxes: NDArray[np.float32]
    class_ids: NDArray[np.int64]


class Scene:
    """One place, seen by one camera. `layout` is a key of LAYOUTS; the same seed gives the same world."""

    def __init__(self, layout: str, seed: int, width: int = 640, height: int = 360) -> None:
        self.layout: SceneLayout = LAYOUTS[layout]
        self.width, self.height, self._seed = width, height, seed
        random = np.random.default_rng((seed, 7))
        self._backdrop = self.layout.paint(random, width, height)
        noise = random.normal(0.0, 1.0, (NOISE_TILES, height, width, 1)).astype(np.float32)
        noise = noise + 0.6 * random.normal(0.0, 1.0, (NOISE_TILES, height, width, 3)).astype(np.float32)
        self._noise = np.clip(noise * 24 + 128, 0, 255).astype(np.uint8)
        self._tone = 1.0 + random.uniform(-0.04, 0.04, 3)

    def things(self, t: float, *, strangers: float = 0.0) -> list[SceneObject]:
        """Who is in the image at `t` seconds, far lanes first; `strangers` is the share of unknown things."""
        found = []
        for number, lane in enumerate(self.layout.lanes):
            first = math.floor((t - lane.longest_seconds) / SLOT_SECONDS)
            for slot in range(first, math.floor(t / SLOT_SECONDS) + 1):
                thing = self._thing(lane, number, slot, t, strangers)
                if thing is not None:
                    found.append(thing)
        return sorted(found, key=lambda thing: thing.y)

    def _thing(self, lane: Lane, number: int, slot: int, t: float, strangers: float) -> SceneObject | None:
        u = np.random.default_rng((self._seed, number, slot & 0xFFFFFFFF)).random(12)
        busy = 1.0 + 0.35 * math.sin(slot * SLOT_SECONDS / 97.0 + self._seed)  # density varies slowly
        if u[0] >= lane.arrivals_per_second * SLOT_SECONDS * busy:
            return None
        name = lane.classes[int(u[1] * len(lane.classes))]
        size = lane.size * self.height * HEIGHT_FACTORS.get(name, 1.0) * (0.85 + 0.3 * u[2])
        pace = lane.speed * (0.7 + 0.6 * u[3]) * SPEED_FACTORS.get(name, 1.0)
        age = t - (slot + u[4]) * SLOT_SECONDS
        x = age * pace * self.width - 2.0 * size
        if age < 0 or x > self.width + 2.0 * size:
            return None
        if u[5] < strangers:
            name = "stranger"
        look = Appearance(
            main=_main_colour(name, u[6], u[7]),
            second=_colour(u[8], 90, 50 + 150 * u[9]),
            variant=float(u[10]),
            facing=lane.facing,
            phase=age * 7.0 * (0.8 + 0.4 * float(u[3])),
        )
        y = (lane.y + 0.02 * (u[11] - 0.5)) * self.height
        return SceneObject(name=name, x=x if lane.facing > 0 else self.width - x, y=y, size=size, look=look)

    def draw(
        self,
        t: float,
        hour: float,
        frame: int,
        *,
        strangers: float = 0.0,
        noise: float = 1.0,
        classes: Sequence[str] = CLASSES,
    ) -> DrawnImage:
        """The image at `t` seconds and `hour` of the day; `frame` picks the sensor noise, `classes` have boxes."""
        light = daylight(hour)
        image = self._backdrop.copy()
        boxes: list[tuple[float, float, float, float]] = []
        ids: list[int] = []
        things = self.things(t, strangers=strangers)
        for thing in things:
            _shade(image, thing, light)
        for thing in things:
            width, height = DRAWERS[thing.name](image, thing.x, thing.y, thing.size, thing.look)
            box = self._box(thing, width, height)
            if box is not None and thing.name in classes:
                boxes.append(box)
                ids.append(classes.index(thing.name))
        self._light(image, light, t)
        self._grain(image, light, frame, noise)
        kept = _not_hidden(boxes)
        return DrawnImage(
            image=image,
            boxes=np.array([boxes[i] for i in kept], dtype=np.float32).reshape(-1, 4),
            class_ids=np.array([ids[i] for i in kept], dtype=np.int64),
        )

    def _box(
        self, thing: SceneObject, width: float, height: float
    ) -> tuple[float, float, float, float] | None:
        left, right = max(0.0, thing.x - width / 2), min(float(self.width), thing.x + width / 2)
        top, bottom = max(0.0, thing.y - height), min(float(self.height), thing.y)
        seen = (right - left) * (bottom - top)
        return (left, top, right, bottom) if right > left and seen > 0.25 * width * height else None

    def _light(self, image: Image, light: float, t: float) -> None:
        cloud = 1.0 + 0.05 * math.sin(t / 41.0) + 0.03 * math.sin(t / 13.7 + 2.0)
        level = (0.22 + 0.78 * light) * (cloud if light > 0.2 else 1.0)
        cool = (1 - light) * np.array([0.12, 0.0, -0.1])
        steps = np.arange(256, dtype=np.float32)[:, None] * (level * (self._tone + cool))[None, :]
        cv2.LUT(image, np.clip(steps, 0, 255).astype(np.uint8).reshape(256, 1, 3), dst=image)
        if light < 0.5:
            for x, y in self.layout.lamps:
                self._lamp(image, x, y, 0.5 - light)

    def _lamp(self, image: Image, x: float, y: float, strength: float) -> None:
        radius = int(0.28 * self.height)
        cx, cy = int(x * self.width), int(y * self.height)
        left, top = max(0, cx - radius), max(0, cy - radius)
        view = image[top : cy + radius, left : cx + radius]
        if view.size:
            glow = np.zeros(view.shape, np.uint8)
            for part, level in ((1.0, 16), (0.7, 34), (0.4, 60)):
                cv2.circle(
                    glow, (cx - left, cy - top), int(radius * part), (level // 2, level * 3 // 4, level), -1
                )
            cv2.addWeighted(view, 1.0, cv2.blur(glow, (15, 15)), 2 * strength, 0, dst=view)

    def _grain(self, image: Image, light: float, frame: int, noise: float) -> None:
        amount = noise * (0.11 + 0.13 * (1 - light))
        tile = self._noise[(frame * 2654435761 >> 7) % NOISE_TILES]
        if frame % 2:
            tile = tile[::-1, ::-1]
        cv2.addWeighted(image, 1.0, tile, amount, -128 * amount, dst=image)


def daylight(hour: float) -> float:
    """Light of the sky at an hour of the day, 0 (night) to 1 (noon)."""
    height = math.sin((hour % 24 - 6) / 12 * math.pi)
    return min(1.0, max(0.0, 0.5 + 1.4 * height))


def _shade(image: Image, thing: SceneObject, light: float) -> None:
    """The shadow under a thing, deeper by day."""
    width = max(2, int(thing.size * (0.75 if thing.name in ("car", "truck", "forklift") else 0.28)))
    height = max(1, int(thing.size * 0.06))
    cx, cy = int(thing.x + 0.05 * thing.size), int(thing.y)
    left, top = max(0, cx - width), max(0, cy - height)
    view = image[top : max(0, cy + height + 1), left : max(0, cx + width + 1)]
    if view.size:
        mask = np.zeros(view.shape, np.uint8)
        depth = int(30 + 50 * light)
        cv2.ellipse(mask, (cx - left, cy - top), (width, height), 0, 0, 360, (depth, depth, depth), -1)
        cv2.subtract(view, mask, dst=view)


def _not_hidden(boxes: list[tuple[float, float, float, float]]) -> list[int]:
    """Boxes that later (nearer) ones leave at least a third of."""
    kept = []
    for index, (left, top, right, bottom) in enumerate(boxes):
        hidden = 0.0
        for other in boxes[index + 1 :]:
            across = min(right, other[2]) - max(left, other[0])
            down = min(bottom, other[3]) - max(top, other[1])
            hidden = max(hidden, max(0.0, across) * max(0.0, down))
        if hidden < 0.66 * (right - left) * (bottom - top):
            kept.append(index)
    return kept


def _main_colour(name: str, hue: float, value: float) -> Colour:
    if name == "box":
        return int(70 + 50 * value), int(120 + 40 * value), int(165 + 40 * value)
    if name == "forklift":
        return (20, 150 + int(60 * value), 235) if hue < 0.7 else (40, 60, 215)
    return _colour(hue, 200 if name != "truck" or hue < 0.5 else 30, 90 + 150 * value)


def _colour(hue: float, saturation: int, value: float) -> Colour:
    pixel = np.array([[[int(hue * 179), saturation, int(value)]]], dtype=np.uint8)
    blue, green, red = cv2.cvtColor(pixel, cv2.COLOR_HSV2BGR)[0, 0].tolist()
    return blue, green, red
