"""What the features of one sampled frame cost, by picture size, and beside the usual full-size reduction.

    python benchmarks/features.py [--frames N]

Timings of one machine are noisy: sizes are interleaved, medians reported, one OpenCV thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np

from agent.core.types import Detections
from agent.features import FAMILIES
from agent.features.distance import EmbeddingModel
from agent.features.extract import extract
from agent.features.view import look

SIZES = {"360p": (360, 640), "720p": (720, 1280), "1080p": (1080, 1920), "2160p": (2160, 3840)}


def scene(height: int, width: int, seed: int) -> np.ndarray:
    """A smooth random picture with sensor noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 40, width // 40, 3), dtype=np.uint8)
    picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    return np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)


def detections(height: int, width: int, count: int) -> Detections:
    """`count` random boxes, with an embedding of 256 numbers."""
    rng = np.random.default_rng(count)
    corner = rng.random((count, 2)) * (width * 0.8, height * 0.8)
    side = rng.random((count, 2)) * (width * 0.2, height * 0.2) + 4
    return Detections(
        boxes=np.concatenate((corner, corner + side), axis=1).astype(np.float32),
        scores=np.sort(rng.uniform(0.25, 1, count).astype(np.float32))[::-1],
        class_ids=rng.integers(0, 80, count),
        threshold=0.25,
        candidates=count * 6,
        embedding=rng.normal(0, 1, 256).astype(np.float32),
    )


def microseconds(work: Callable[[], object]) -> float:
    before = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - before) / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=400)
    frames = parser.parse_args().frames
    cv2.setNumThreads(1)
    pictures = {name: [scene(*size, seed) for seed in range(6)] for name, size in SIZES.items()}
    boxes = {name: detections(*size, 20) for name, size in SIZES.items()}
    times: dict[str, list[float]] = {}
    previous = dict.fromkeys(SIZES)
    for number in range(frames):
        for name in SIZES:
            image = pictures[name][number % 6]

            def measure(name: str = name, image: np.ndarray = image) -> None:
                _, previous[name] = extract(image, boxes[name], previous[name])

            times.setdefault(f"extract {name}", []).append(microseconds(measure))
        image = pictures["1080p"][number % 6]
        times.setdefault("cv2.resize INTER_AREA 1080p to 192x108", []).append(
            microseconds(partial(cv2.resize, image, (192, 108), interpolation=cv2.INTER_AREA))
        )
        times.setdefault("small copy and tiles 1080p", []).append(
            microseconds(partial(look, image, boxes["1080p"], None))
        )
        view = look(image, boxes["1080p"], previous["1080p"])
        for family in FAMILIES:
            times.setdefault(f"family {family.name}", []).append(microseconds(partial(family.measure, view)))
    rng = np.random.default_rng(1)
    model = EmbeddingModel()
    for _ in range(4000):
        embedding = rng.normal(0, 1, 256).astype(np.float32)
        times.setdefault("embedding model: learn one", []).append(microseconds(partial(model.add, embedding)))
        times.setdefault("embedding model: distance", []).append(
            microseconds(partial(model.distance, embedding))
        )
    print(f"{'':42} {'p50 µs':>9} {'p99 µs':>9}")
    for name, values in times.items():
        settled = values[len(values) // 10 :]
        print(f"{name:42} {np.median(settled):9.1f} {np.quantile(settled, 0.99):9.1f}")


if __name__ == "__main__":
    main()
