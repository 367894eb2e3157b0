"""False states: real videos looped with mild variations, and a whole drawn day; none of these may show a fault.

python -m benchmarks.cameras.health ../shared/videos [--rounds 3] [--day-hours 2]
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from agent.cameras.health.features import small_image
from agent.cameras.health.judge import SAMPLE_SECONDS, HealthState, observe
from agent.cameras.health.timing import TimingReport
from agent.cameras.kinds.synthetic.camera import SyntheticCamera, SyntheticOptions

Image = NDArray[np.uint8]
Timed = Iterator[tuple[float, Image]]
STEADY = TimingReport(None, None, 0)
RNG = np.random.default_rng(1)


def grain(spread: float) -> Callable[[Image, float], Image]:
    """Sensor noise with a standard deviation of `spread` levels."""

    def noisy(image: Image, _now: float) -> Image:
        noise = RNG.integers(-10000, 10000, image.shape, dtype=np.int16).astype(np.float32) * (spread / 5774)
        return np.clip(image + noise, 0, 255).astype(np.uint8)

    return noisy


def jpeg(quality: int) -> Callable[[Image, float], Image]:
    """What a motion-JPEG camera of this quality sends."""

    def coded(image: Image, _now: float) -> Image:
        decoded = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1)
        assert decoded is not None
        return decoded

    return coded


def breathing(image: Image, now: float) -> Image:
    """Automatic gain that goes up and down by a quarter within a minute."""
    return cv2.convertScaleAbs(image, alpha=1 + 0.25 * np.sin(now * 2 * np.pi / 60))


def jitter(image: Image, now: float) -> Image:
    """A pole in the wind: the view sways by up to 1/200 of its width."""
    height, width = image.shape[:2]
    dx, dy = width / 200 * np.sin(now * 5), width / 400 * np.sin(now * 7)
    return cv2.warpAffine(
        image, np.array([[1, 0, dx], [0, 1, dy]], np.float32), (width, height), borderMode=1
    )


VARIATIONS: dict[str, Callable[[Image, float], Image]] = {
    "as it is": lambda image, _now: image,
    "gain 0.7": lambda image, _now: cv2.convertScaleAbs(image, alpha=0.7),
    "gain 1.3": lambda image, _now: cv2.convertScaleAbs(image, alpha=1.3),
    "gain breathing ±25 % in 60 s": breathing,
    "noise, 4 levels": grain(4),
    "noise, 10 levels": grain(10),
    "JPEG quality 30": jpeg(30),
    "JPEG quality 10": jpeg(10),
    "swaying by 1/200": jitter,
    "grey (infrared)": lambda image, _now: cv2.cvtColor(cv2.cvtColor(image, 6), 8),
}


def glances(path: Path, rounds: int) -> Timed:
    """(time, picture) of a video as often as health looks, over `rounds` of its whole length."""
    start = 0.0
    for _ in range(rounds):
        with av.open(str(path)) as container:
            last = -1.0
            for picture in container.decode(video=0):
                if picture.time - last >= SAMPLE_SECONDS - 1e-6:
                    last = picture.time
                    yield start + last, picture.to_ndarray(format="bgr24")
        start += last + SAMPLE_SECONDS


def judged(timed: Timed, vary: Callable[[Image, float], Image]) -> tuple[float, list[str]]:
    """Minutes looked at, and each false state as `state@second: reason`."""
    state, told, was, now = HealthState(), [], "online", 0.0
    for now, image in timed:
        state, verdict = observe(state, small_image(vary(image, now)), now, STEADY)
        if verdict.state.value not in (was, "online"):
            told.append(f"{verdict.state.value}@{now:.0f}s: {verdict.reason}")
        was = verdict.state.value
    return now / 60, told


def drawn(layout: str, seed: int, hours: float) -> Timed:
    """A drawn day of 24 hours that passes in `hours`."""
    seconds = hours * 3600
    options = SyntheticOptions(
        layout=layout, seed=seed, fps=1 / SAMPLE_SECONDS, pace="fast", day_length=seconds, start_hour=12,
        length=seconds, width=320, height=180,
    )  # fmt: skip
    camera = SyntheticCamera("drawn", options)
    camera.open()
    return ((index * SAMPLE_SECONDS, frame.image) for index, frame in enumerate(iter(camera.read, None)))


def row(scene: str, variation: str, result: tuple[float, list[str]]) -> None:
    minutes, told = result
    print(f"| {scene} | {variation} | {minutes:.1f} | {len(told)} | {'; '.join(told[:3])} |", flush=True)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("videos", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--day-hours", type=float, default=2.0)
    args = parser.parse_args(argv)
    print("| scene | variation | minutes | false states | which |\n|---|---|---|---|---|")
    for layout in ("street", "warehouse") if args.day_hours else ():
        for seed in (1, 2):
            day = drawn(layout, seed, args.day_hours)
            row(f"drawn {layout}, seed {seed}", "24 h of light", judged(day, VARIATIONS["as it is"]))
    for path in sorted(args.videos.glob("*.mp4")):
        for name, vary in VARIATIONS.items():
            row(path.stem, name, judged(glances(path, args.rounds), vary))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
