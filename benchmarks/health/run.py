"""Health by content in a changing world: false states where nothing is wrong, and the time until a fault is detected.

python -m benchmarks.health ../shared/videos [--only NAME ...] [--video NAME ...] [--longest 60]

Real frames, decoded once and looped four times a second through the product's own inspector, with what light, weather,
a PTZ tour and faults do to them (`worlds`).
"""

from __future__ import annotations

import argparse
import functools
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import av
import cv2

from agent.cameras.health.inspector import Inspector
from agent.cameras.health.judge import SAMPLE_SECONDS, HealthVerdict
from agent.core.types import Frame
from benchmarks.health.faults import Held, clocked
from benchmarks.health.pixels import Image
from benchmarks.health.worlds import World, worlds

VIDEOS = (".mp4", ".avi", ".mkv")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A state but `online`: when it began (seconds since the change), for how long it stood, and its reason."""

    at: float
    stood: float
    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen of a world: the states but `online`, and for how many seconds which text said what cannot be
    told."""

    states: tuple[State, ...]
    untold: Mapping[str, float]

    @property
    def names(self) -> list[str]:
        """The states in their order."""
        return [one.name for one in self.states]


def watch(path: Path, world: World, run: Run) -> Seen:
    """Show `world` on the video at `path`."""
    found: list[State] = []
    untold: dict[str, float] = {}
    was, t = "online", 0.0
    for t, verdict in verdicts(path, world, run):
        state = verdict.state.value
        if was not in {state, "online"}:
            found[-1] = replace(found[-1], stood=t - found[-1].at)
        if state not in {was, "online"}:
            found.append(State(at=t, stood=math.inf, name=state, reason=verdict.reason))
        was = state
        if t >= 0 and verdict.untold:
            untold[verdict.untold] = untold.get(verdict.untold, 0.0) + run.step
    return Seen(states=tuple(replace(one, stood=min(one.stood, t - one.at)) for one in found), untold=untold)


def row(video: str, world: World, seen: Seen) -> str:
    """A line of the table."""
    right = [one for one in seen.states if one.name in world.expected and one.at >= 0]
    wrong = [one for one in seen.states if one not in right and one.name not in world.allowed]
    missed = "**missed**" if world.expected else ""
    first = f"{right[0].name} after {right[0].at - world.crossed:.0f} s" if right else missed
    again = f", {len(right)} times" if len(right) > 1 else ""
    listed = "; ".join(
        f"{one.name} at {one.at:.0f} s for {one.stood:.0f} s ({one.reason})" for one in wrong[:3]
    )
    untold = "; ".join(
        f"{_short(text)} {seconds:.0f} s"
        for text, seconds in sorted(seen.untold.items(), key=lambda each: -each[1])[:3]
    )
    return f"| {world.name} | {video} | {world.minutes:g} | {first}{again} | {len(wrong)} | {listed} | {untold} |"


def _short(text: str) -> str:
    return text.removeprefix("whether ").replace(" cannot be told, because", ":")


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
    parser.add_argument("--longest", type=float, default=60.0, help="minutes: longer worlds are left out")
    args = parser.parse_args(argv)
    run = Run(step=args.step, warm=args.warm, width=args.width)
    chosen = [
        world for world in worlds()
        if world.minutes <= args.longest and (not args.only or world.name.startswith(tuple(args.only)))
    ]  # fmt: skip
    print(
        "| world | video | min | detected | false states | which | not told |\n|---|---|---|---|---|---|---|"
    )
    for path in sorted(one for one in args.videos.iterdir() if one.suffix in VIDEOS):
        if not args.video or path.stem.startswith(tuple(args.video)):
            for world in chosen:
                began = time.perf_counter()
                line = row(path.stem.split("-")[0], world, watch(path, world, run))
                print(line, f"<!-- {time.perf_counter() - began:.0f} s -->", flush=True)
    return 0
