"""A drawn scene at any time: the picture, and the true boxes of what is in it."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.cameras.scenes import CLASSES, LAYOUTS, light, street, warehouse
from agent.cameras.scenes.disturbances import Optics
from agent.cameras.scenes.figures import CLASS_OF, figure, phase
from agent.cameras.scenes.layout import Canvas, Layout, Standing
from agent.cameras.scenes.light import Light
from agent.cameras.scenes.shapes import Box, Figure, Image, Matrix, darken, draw, placement
from agent.cameras.scenes.traffic import Presence, Traffic

_BUILD = {"street": street.build, "warehouse": warehouse.build}
assert tuple(_BUILD) == LAYOUTS

_LEAST_IN_VIEW = 0.3  # of a thing's box that must lie in the picture for the box to count
_LEAST_UNCOVERED = 0.25  # of what lies in the picture that nearer things must leave free
_LEAST_SIDE = 0.01  # of the picture's width: smaller boxes do not count
_LIGHT_STEPS = 40  # the lit background is painted anew when the light has changed by one of so many steps
_FRAMES_A_SECOND = 1000  # noise is told apart by the millisecond

Result = tuple[Image, NDArray[np.float32], NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class _Seen:
    """A box in the picture; `class_id` is None for what only covers others."""

    box: Box
    class_id: int | None


class Scene:
    """One scene; the same arguments and times give the same pictures. One thread at a time.

    `layout` is one of LAYOUTS, `size` (width, height) of the picture, `day_length` the seconds that a day
    takes, `start_hour` the hour at time 0.
    """

    def __init__(
        self,
        seed: int,
        layout: str,
        size: tuple[int, int] = (640, 360),
        *,
        day_length: float = 86400.0,
        start_hour: float = 12.0,
    ) -> None:
        self.size = size
        self._seed = seed
        self._layout: Layout = _BUILD[layout](Canvas(*size), np.random.default_rng((seed, len(layout))))
        self._traffic = Traffic(
            self._layout.routes, self._layout.spots, seed, day_length=day_length, start_hour=start_hour
        )
        self._optics = Optics(size, seed)
        self._lit = functools.lru_cache(maxsize=2)(self._light_background)

    def hour(self, t: float) -> float:
        """Hour of the scene's day, 0..24."""
        return self._traffic.hour(t)

    def render(self, t: float, disturbances: Mapping[str, float] | None = None) -> Result:
        """The picture at `t` seconds (H, W, 3) uint8 BGR, boxes (n, 4) float32 xyxy in pixels, class ids (n,) int64.

        `disturbances` gives strengths (0..1) by name; see DISTURBANCES. `frozen` is the camera's affair.
        """
        strengths = disturbances or {}
        now = self._light(t)
        view = self._view(t, strengths.get("knocked", 0.0))
        lit = self._lit(*_stepped(now))
        # INTER_LINEAR on a moved view is what makes the shake smooth
        image = cv2.warpAffine(lit, view, self.size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        things = self._traffic.present(t, strengths.get("objects", 0.0))
        for thing in things:
            self._shadow(image, thing, view, now)
        seen = self._draw_all(image, things, view, now, t)
        image = self._optics.through(
            image,
            strengths,
            brightness=1.0 + 0.05 * _wander(self._seed, t, 23.0) + 0.012 * _wander(self._seed + 1, t, 1.7),
            night=1.0 - now.ambient[1],
            ambient=now.ambient[1],
            frame=int(t * _FRAMES_A_SECOND),
        )
        boxes, class_ids = _visible(seen, self.size)
        return image, boxes, class_ids

    def _light(self, t: float) -> Light:
        hour, daylight = self.hour(t), self._layout.daylight
        return light.outdoors(hour) if daylight >= 1 else light.indoors(hour, daylight)

    def _light_background(self, ambient: tuple[float, float, float], night: float) -> Image:
        layout = self._layout
        lamp = np.array(layout.lamp_colour, np.float32) * night
        gain = np.array(ambient, np.float32) + layout.lamps[..., None] * lamp
        return np.clip(layout.background * gain + layout.glow * np.float32(night), 0, 255).astype(np.uint8)

    def _view(self, t: float, knocked: float) -> Matrix:
        """The (2, 3) matrix from the painted world to the picture: micro-shake, and a knock."""
        width, height = self.size
        x, y = self._layout.canvas.margin
        shake = width / 640
        dx = shake * (0.5 * _wander(self._seed + 2, t, 0.9) + 0.9 * _wander(self._seed + 3, t, 31.0))
        dy = shake * (0.4 * _wander(self._seed + 4, t, 0.8) + 0.6 * _wander(self._seed + 5, t, 37.0))
        matrix: Matrix = np.array([[1.0, 0.0, -x + dx], [0.0, 1.0, -y + dy]])
        if knocked <= 0:
            return matrix
        rng = np.random.default_rng((self._seed, 3))
        side, tilt = rng.choice([-1, 1], 2)
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), tilt * 7.0 * knocked, 1 + 0.06 * knocked)
        turn[:, 2] += (side * 0.11 * width * knocked, 0.08 * height * knocked)
        return np.column_stack((turn[:, :2] @ matrix[:, :2], turn[:, :2] @ matrix[:, 2] + turn[:, 2]))

    def _shadow(self, image: Image, thing: Presence, view: Matrix, now: Light) -> None:
        floor = self._layout.floor
        place = placement(*floor.pixel(thing.x, thing.depth), floor.scale(thing.depth), thing.facing, view)
        points = figure(thing.look, phase(thing.look.kind, thing.travelled)).points
        heights = points[:, 1]
        cast = np.column_stack((points[:, 0] + thing.facing * now.slant * heights, -now.drop * heights))
        hull = cv2.convexHull((cast @ place[:, :2].T + place[:, 2]).astype(np.float32))[:, 0]
        darken(image, hull.astype(np.float64), now.shadow)

    def _draw_all(
        self, image: Image, things: list[Presence], view: Matrix, now: Light, t: float
    ) -> list[_Seen]:
        """Draw from far to near, what stands among what moves."""
        seen: list[_Seen] = []
        queue: list[Presence | Standing] = [*things, *self._layout.standing]
        for one in sorted(queue, key=lambda item: item.depth):
            if isinstance(one, Standing):
                sway = one.sway * _wander(self._seed + int(one.x * 7), t, 2.3)
                box = self._draw(image, one.figure, (one.x + sway, one.depth), 1, view, now)
                seen.append(_Seen(box, None))
            else:
                seen += self._draw_thing(image, one, view, now)
        return seen

    def _draw_thing(self, image: Image, thing: Presence, view: Matrix, now: Light) -> list[_Seen]:
        kind, at = thing.look.kind, (thing.x, thing.depth)
        pose = phase(kind, thing.travelled)
        box = self._draw(image, figure(thing.look, pose), at, thing.facing, view, now)
        if now.night > 0.4 and self._layout.headlights and kind in ("car", "truck", "cyclist") and thing.travelled:
            _headlight(image, box, thing.facing, now.night)
        seen = [_Seen(box, _class_id(kind))]
        if thing.load is not None:
            ahead = (thing.x + thing.facing * 1.62, thing.depth)
            box = self._draw(image, figure(thing.load, 0), ahead, thing.facing, view, now, lifted=0.16)
            seen.append(_Seen(box, _class_id(thing.load.kind)))
        return seen

    def _draw(
        self,
        image: Image,
        drawn: Figure,
        at: tuple[float, float],
        facing: int,
        view: Matrix,
        now: Light,
        lifted: float = 0.0,
    ) -> Box:
        floor, lamps = self._layout.floor, self._layout.lamps
        x, y = floor.pixel(*at)
        scale = floor.scale(at[1])
        row = min(max(int(y), 0), lamps.shape[0] - 1)
        column = min(max(int(x), 0), lamps.shape[1] - 1)
        lamp = float(lamps[row, column]) * now.night
        b, g, r = (part + lamp * colour for part, colour in zip(now.ambient, self._layout.lamp_colour, strict=True))
        return draw(image, drawn, placement(x, y - lifted * scale, scale, facing, view), (b, g, r))


def _class_id(kind: str) -> int | None:
    name = CLASS_OF.get(kind, kind)
    return CLASSES.index(name) if name in CLASSES else None


def _stepped(now: Light) -> tuple[tuple[float, float, float], float]:
    b, g, r = (round(part * _LIGHT_STEPS) / _LIGHT_STEPS for part in now.ambient)
    return (b, g, r), round(now.night * _LIGHT_STEPS) / _LIGHT_STEPS


def _wander(seed: int, t: float, period: float) -> float:
    """A smooth, never repeating number in about -1..1 that changes over about `period` seconds."""
    phase_of = (seed * 0.61803398875) % 1.0 * 2 * math.pi
    return (
        math.sin(2 * math.pi * t / period + phase_of)
        + 0.6 * math.sin(2 * math.pi * t / (period * 0.41) + 2.1 * phase_of)
        + 0.4 * math.sin(2 * math.pi * t / (period * 2.73) + 3.7 * phase_of)
    ) / 2.0


def _headlight(image: Image, box: Box, facing: int, night: float) -> None:
    """Add the light thrown ahead of a vehicle."""
    x1, y1, x2, y2 = box
    size = max(int((y2 - y1) * 0.8), 4)
    x, y = int(x2 if facing > 0 else x1), int(y2 - (y2 - y1) * 0.3)
    wide = size * 2
    left, top = (x - size // 3 if facing > 0 else x + size // 3 - wide), y - size // 2
    x_from, y_from = max(left, 0), max(top, 0)
    x_to, y_to = min(left + wide, image.shape[1]), min(top + size, image.shape[0])
    if x_from >= x_to or y_from >= y_to:
        return
    beam = _beam(size, facing, round(night, 1))[y_from - top : y_to - top, x_from - left : x_to - left]
    area = image[y_from:y_to, x_from:x_to]
    cv2.add(area, beam, dst=area)


@functools.lru_cache(maxsize=256)
def _beam(size: int, facing: int, night: float) -> Image:
    ahead = np.linspace(-1 / 6, 5 / 6, 2 * size, dtype=np.float32)[None, ::facing]
    aside = np.linspace(-1, 1, size, dtype=np.float32)[:, None]
    spread = 0.18 + 0.5 * np.clip(ahead, 0, None)
    fall = np.exp(-0.5 * (ahead / 0.3) ** 2 - 0.5 * (aside / spread) ** 2)
    return (fall[..., None] * np.array([120, 175, 195], np.float32) * night).astype(np.uint8)


def _visible(seen: list[_Seen], size: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Boxes clipped to the picture, without those mostly outside it, hidden or tiny."""
    width, height = size
    boxes: list[Box] = []
    class_ids: list[int] = []
    for index, one in enumerate(seen):
        if one.class_id is None:
            continue
        x1, y1, x2, y2 = one.box
        clipped = (max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height)))
        if min(clipped[2] - clipped[0], clipped[3] - clipped[1]) < _LEAST_SIDE * width:
            continue
        area = _area(clipped)
        hidden = sum(_area(_common(clipped, nearer.box)) for nearer in seen[index + 1 :] if nearer.class_id is not None)
        if area >= _LEAST_IN_VIEW * _area(one.box) and hidden <= (1 - _LEAST_UNCOVERED) * area:
            boxes.append(clipped)
            class_ids.append(one.class_id)
    return np.array(boxes, np.float32).reshape(-1, 4), np.array(class_ids, np.int64)


def _common(a: Box, b: Box) -> Box:
    return max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])


def _area(box: Box) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)
