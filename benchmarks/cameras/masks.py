"""What masks and zones cost a frame: python -m benchmarks.cameras masks [--width 1920] [--height 1080].

Privacy masks are drawn into each frame; ignore masks cost at each look of health and of the features, zones for each
frame with boxes. The quickest of `--rounds` calls, one thread.
"""

import argparse
import time
import timeit
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np

from agent.cameras.health.features import small_image
from agent.cameras.health.ticking import TickFinder
from agent.cameras.privacy import PrivacyMasks
from agent.cameras.stamping import stamped
from agent.core.scope import WHOLE, Scope
from agent.core.types import Detections
from agent.features.extract import extract

CLOCK = ((0.6, 0.92), (0.98, 0.92), (0.98, 0.98), (0.6, 0.98))
WINDOW = ((0.05, 0.07), (0.47, 0.18), (0.42, 0.93), (0.15, 0.65))
HALF = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.5), (0.0, 0.5))
MASKS = {"none": (), "a window, 22 %": (WINDOW,), "two, 24 %": (WINDOW, CLOCK), "half of the frame": (HALF,)}


def least(call: Callable[[], object], rounds: int) -> float:
    """Milliseconds of the quickest call: that which other work on the box disturbed least."""
    return min(timeit.repeat(call, number=1, repeat=rounds)) * 1e3


def main(words: list[str]) -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=1920)
    parser.add_argument("--height", type=int, default=1080)
    parser.add_argument("--rounds", type=int, default=300)
    args = parser.parse_args(words)
    cv2.setNumThreads(1)
    random = np.random.default_rng(1)
    image = random.integers(0, 255, (args.height, args.width, 3), dtype=np.uint8)
    frame = stamped("front", 0, image)
    corners = random.uniform(0, 300, (20, 4)).astype(np.float32).cumsum(axis=1)
    boxes = Detections(
        boxes=corners,
        scores=np.full(20, 0.5, np.float32),
        class_ids=np.zeros(20, np.int64),
        threshold=0.25,
        candidates=20,
    )
    print(
        "| masks | privacy, ms a frame | health, ms a look | features, ms a look | zones, ms for 20 boxes |"
    )
    print("|---|---|---|---|---|")
    for name, polygons in MASKS.items():
        masks, scope = (
            PrivacyMasks(polygons),
            Scope(ignored=polygons, included=polygons) if polygons else WHOLE,
        )
        previous = extract(image, boxes, None, scope)[1]
        calls = (
            partial(masks.apply, frame),
            partial(small_image, image, scope),
            partial(extract, image, boxes, previous, scope),
            partial(scope.counted, corners, (args.width, args.height)) if scope.zoned else int,
        )
        figures = [least(call, args.rounds) for call in calls]
        print(f"| {name} | {' | '.join(f'{figure:.3f}' for figure in figures)} |")
    finder, small = TickFinder(), small_image(image)
    print(
        f"\nticking areas: {least(lambda: finder.add(small, time.perf_counter()), args.rounds):.3f} ms a look"
    )
    return 0
