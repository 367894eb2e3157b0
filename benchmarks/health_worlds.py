"""Health by content in a changing world: false states where nothing is wrong, and the time until a fault is detected.

python -m benchmarks.health_worlds ../shared/videos [--only NAME ...] [--video NAME ...] [--hours 1]

Real frames, decoded once and looped four times a second through the product's own inspector, with what light, weather,
a PTZ tour and faults do to them.
"""

from __future__ import annotations

import argparse
import functools
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from agent.cameras.health.inspector import Inspector
from agent.cameras.health.judge import SAMPLE_SECONDS, HealthVerdict
from agent.core.types import Frame

Image = NDArray[np.uint8]
Change = Callable[[Image, float], Image]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A change of the picture over `minutes`; `expected` are the states that are right, () where none is;
    `allowed` are right, too, but need not be seen.

    `crossed` is the second from which a fault is large enough to be detected.
    """

    name: str
    change: Change
    minutes: float
    expected: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    crossed: float = 0.0


# -- what cameras do -----------------------------------------------------------------------------------------


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


def _clipped(image: NDArray[np.float32]) -> Image:
    return cv2.convertScaleAbs(cv2.max(image, 0.0))


@functools.cache
def _grid(height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return y / height, x / width


def spot(image: Image, x: float, y: float, radius: float, level: float) -> Image:
    """A round light of `radius` (share of the width) at x, y (shares)."""
    height, width = image.shape[:2]
    ys, xs = (axis[::4, ::4] for axis in _grid(height, width))  # smooth: a sixteenth of it is enough
    light = level * cv2.exp(-((xs - x) ** 2 + ((ys - y) * height / width) ** 2) / (2 * radius * radius))
    whole = cv2.resize(light, (width, height)).astype(np.int16)
    return cv2.add(image, cv2.merge([whole] * 3), dtype=cv2.CV_8U)


@functools.cache
def _vignette(height: int, width: int) -> NDArray[np.float32]:
    ys, xs = _grid(height, width)
    falls = np.float32(1.1) - np.float32(1.5) * ((xs - 0.5) ** 2 + (ys - 0.5) ** 2)
    return np.ascontiguousarray(np.repeat(falls[..., None], 3, axis=2))


def infrared(image: Image, t: float) -> Image:
    """Night mode: grey, lit by the camera's own lamps, with the noise of a high gain."""
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return grain_grey(_clipped(grey.astype(np.float32) * _vignette(*image.shape[:2]) * 0.8), t, 6)


def grain_grey(image: Image, t: float, spread: float) -> Image:
    """Noise of the brightness alone, as a grey stream has it."""
    noisy = grain(image, t, spread)
    return cv2.cvtColor(noisy[..., 1], cv2.COLOR_GRAY2BGR)


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
            return grain(_clipped(image * (1.0 - 0.55 * _leaves(*image.shape[:2]))), t, 1.5)
        return grain(lit(image, 0.6), t, 1.5)

    return shaded


def lamps_out(image: Image, t: float) -> Image:
    """The lamps over half of the room go out for four minutes in eight."""
    if t % 480 >= 240:
        return image
    ramp = np.clip(np.linspace(-1.5, 2.5, image.shape[1], dtype=np.float32), 0.0, 1.0)[None, :, None]
    return grain(_clipped(image.astype(np.float32) * (0.3 + 0.7 * ramp)), t, 2.5)


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
        return grain(_clipped(image.astype(np.float32) * (1 - below) + white * below), t, 1.5)

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


# -- faults --------------------------------------------------------------------------------------------------


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
    return _clipped(image.astype(np.float32) * (1 - 0.75 * strands) + 150 * strands)


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
    return grain(_clipped(image.astype(np.float32) * (1 - there) + shade * there), t, 2)


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


def worlds() -> list[World]:
    """All of them; those without an expected state first."""
    return [
        World(name="as it is", change=lambda image, _: image, minutes=4),
        World(name="noise of 8 levels", change=lambda image, t: grain(image, t, 8), minutes=4),
        World(name="night, headlights every 40 s", change=headlights(0.1, 4, 40), minutes=12),
        World(name="deep night, headlights every 40 s", change=headlights(0.04, 4, 40), minutes=12),
        World(name="night, headlights every 150 s", change=headlights(0.07, 3, 150), minutes=12),
        World(name="infrared by turns of 3 min", change=infrared_by_turns, minutes=18),
        World(name="glare of 4 min", change=glare(4), minutes=6, allowed=("overexposed",)),
        World(name="strong glare of 8 min", change=glare(8, 600), minutes=10, allowed=("overexposed",)),
        World(name="tour, three presets of a minute", change=toured(60), minutes=15),
        World(name="tour, three presets of 25 s", change=toured(25), minutes=10),
        World(name="tour, three presets of 12 s", change=toured(12), minutes=10),
        World(name="wind, 1/200", change=swaying(0.005), minutes=5),
        World(name="wind, 1/70", change=swaying(0.014), minutes=5),
        World(name="rain", change=rain, minutes=5),
        World(name="clouds", change=clouds, minutes=6),
        World(name="sun through a tree by turns", change=tree_shadows(True, 4), minutes=16),
        World(name="clouds, then sun through a tree", change=tree_shadows(False, 4), minutes=16),
        World(name="lamps over half of the view go out", change=lamps_out, minutes=16),
        World(name="a lorry stops for 75 s", change=lorry, minutes=9),
        World(name="snow settles within 20 min", change=snow(20), minutes=30, allowed=("obstructed", "fogged")),
        World(name="dusk and dawn", change=dusk(20, 0.1), minutes=20),
        World(name="a day", change=day(60), minutes=60, allowed=("overexposed",)),
        World(name="black night", change=dark(0.015, 2), minutes=12, expected=("black",)),
        World(name="no light", change=dark(0.01, 2), minutes=1, expected=("black",)),
        World(name="frozen under a clock", change=Held(), minutes=3, expected=("frozen",)),
        World(name="defocus within 30 min", change=defocus_ramp(30, 1 / 90), minutes=34, expected=("blurred",), crossed=1080),
        World(name="defocus at once", change=lambda image, _: defocused(image, 1 / 150), minutes=2, expected=("blurred",)),
        World(name="fog within 30 min", change=fog_ramp(30, 0.85), minutes=34, expected=("fogged",), crossed=1080),
        World(name="spider's web", change=web, minutes=6, allowed=("obstructed",)),
        World(name="a leaf over 40 %", change=leaf, minutes=6, expected=("obstructed", "covered")),
        World(name="a hand over a third, soft", change=hand, minutes=6, expected=("obstructed", "covered")),
        World(name="moved by a tenth", change=shifted, minutes=2, expected=("moved",)),
        World(name="covered", change=covered, minutes=2, expected=("covered",)),
        World(name="washed out", change=lambda image, _: lit(image, 2.0, 120), minutes=2, expected=("overexposed",)),
    ]  # fmt: skip


# -- the run -------------------------------------------------------------------------------------------------


@functools.cache
def glances(path: Path, step: float, width: int, most: float = 60.0) -> list[Image]:
    """Frames of a video, one every `step` seconds, `most` seconds of it, scaled down to `width`."""
    found, last = [], -1.0
    with av.open(str(path)) as container:
        for picture in container.decode(video=0):
            if picture.time - last >= step - 1e-6:
                last = picture.time
                image = picture.to_ndarray(format="bgr24")
                size = (width, round(width * image.shape[0] / image.shape[1]))
                found.append(
                    image
                    if image.shape[1] <= width
                    else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
                )
            if last > most:
                break
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How a world is shown: seconds between frames, seconds of the unchanged video before it, width of the frames."""

    step: float = SAMPLE_SECONDS
    warm: float = 120.0
    width: int = 768


def frames(path: Path, world: World, run: Run) -> Iterator[tuple[float, Image]]:
    """(seconds since the change began, frame); before it the unchanged video."""
    shown = glances(path, run.step, run.width)
    before = clocked if isinstance(world.change, Held) else lambda image, _t: image
    for index in range(int((run.warm + world.minutes * 60) / run.step)):
        t, image = index * run.step - run.warm, shown[index % len(shown)]
        yield t, (world.change if t >= 0 else before)(image, t)


def verdicts(path: Path, world: World, run: Run) -> Iterator[tuple[float, HealthVerdict]]:
    """(seconds since the change began, what the inspector says of the frame)."""
    inspector = Inspector(by_media=False)
    for index, (t, image) in enumerate(frames(path, world, run)):
        at = int((1000.0 + index * run.step) * 1e9)
        frame = Frame(camera="a", index=index, image=image, captured_at=0.0, monotonic_ns=at)
        yield t, inspector.inspect(frame)


def untold(path: Path, world: World, run: Run) -> set[str]:
    """What could not be told since the change began, in words."""
    return {verdict.untold for t, verdict in verdicts(path, world, run) if t >= 0} - {""}


def states(path: Path, world: World, run: Run) -> list[tuple[float, float, str, str]]:
    """Each state but `online`: when it began, in seconds since the change, how long it stood, its name and reason."""
    found: list[tuple[float, float, str, str]] = []
    was, last = "online", 0.0
    for t, verdict in verdicts(path, world, run):
        state, last = verdict.state.value, t
        if was not in {state, "online"}:
            found[-1] = (found[-1][0], t - found[-1][0], *found[-1][2:])
        if state not in {was, "online"}:
            found.append((t, math.inf, state, verdict.reason))
        was = state
    return [(t, min(stood, last - t), state, reason) for t, stood, state, reason in found]


def row(video: str, world: World, found: list[tuple[float, float, str, str]]) -> str:
    """A line of the table."""
    right = [one for one in found if one[2] in world.expected and one[0] >= 0]
    wrong = [one for one in found if one not in right and one[2] not in world.allowed]
    missed = "**missed**" if world.expected else ""
    seen = f"{right[0][2]} after {right[0][0] - world.crossed:.0f} s" if right else missed
    again = f", {len(right)} times" if len(right) > 1 else ""
    listed = "; ".join(
        f"{state} at {t:.0f} s for {stood:.0f} s ({reason})" for t, stood, state, reason in wrong[:3]
    )
    return f"| {world.name} | {video} | {world.minutes:g} | {seen}{again} | {len(wrong)} | {listed} |"


def main(argv: list[str]) -> int:
    cv2.setNumThreads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("videos", type=Path)
    parser.add_argument("--only", nargs="*", default=[], help="worlds whose name begins so")
    parser.add_argument("--video", nargs="*", default=[], help="videos whose name begins so")
    parser.add_argument("--step", type=float, default=SAMPLE_SECONDS, help="seconds between frames")
    parser.add_argument(
        "--warm", type=float, default=120.0, help="seconds of the unchanged video before each world"
    )
    parser.add_argument("--width", type=int, default=768, help="of the frames")
    args = parser.parse_args(argv)
    run = Run(step=args.step, warm=args.warm, width=args.width)
    print("| world | video | min | detected | false states | which |\n|---|---|---|---|---|---|")
    for path in sorted(args.videos.glob("*.mp4")):
        if args.video and not path.stem.startswith(tuple(args.video)):
            continue
        for world in worlds():
            if not args.only or world.name.startswith(tuple(args.only)):
                began = time.perf_counter()
                line = row(path.stem.split("-")[0], world, states(path, world, run))
                print(line, f"<!-- {time.perf_counter() - began:.0f} s -->", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
