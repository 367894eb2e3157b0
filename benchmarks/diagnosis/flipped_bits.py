"""How much damage the golden check finds: one bit of one weight of the demo model is another, the file's checksum is not.

    python -m benchmarks.diagnosis.flipped_bits [--trials 60] [--seed 1]        3 s a trial, on one core

Each damaged model stands in the place of the whole one, as after a fault of memory or of an engine's cache. Its boxes on
eight drawn frames that the check does not know say whether the damage matters.
"""

from __future__ import annotations

import argparse
import logging
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import structlog

from agent.cameras.kinds.synthetic.drawing.scene import Scene
from agent.config.schema import ModelSettings
from agent.core.errors import VedetteError
from agent.core.types import Detections, Frame
from agent.detection.matching import BoxMatches, match_boxes
from agent.detection.opening import DEMO_MODEL
from agent.detection.session import Detector
from agent.maintenance.golden.check import GoldenCheck

BITS = (20, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31)
"""Of a float32: three of its digits, the exponent, the sign."""

SAME = 0.999


def frames() -> list[Frame]:
    """Drawn frames of two places."""
    scenes = Scene("street", 5, 640, 360), Scene("warehouse", 6, 640, 360)
    images = [np.array(scene.draw(3.0 * at, 12.0, at).image) for scene in scenes for at in range(4)]
    return [
        Frame(camera="", index=0, image=image, captured_at=0.0, monotonic_ns=0, usable=True)
        for image in images
    ]


def damaged(target: Path, random: np.random.Generator) -> str:
    """Write the demo model with one flipped bit, and say which."""
    model = onnx.load(str(DEMO_MODEL))
    weights = [each for each in model.graph.initializer if each.data_type == 1 and np.prod(each.dims) > 16]
    sizes = np.array([np.prod(each.dims) for each in weights], dtype=float)
    chosen = weights[random.choice(len(weights), p=sizes / sizes.sum())]
    values = onnx.numpy_helper.to_array(chosen).copy()
    place, bit = random.integers(values.size), int(random.choice(BITS))
    before = values.reshape(-1)[place]
    values.reshape(-1).view(np.uint32)[place] ^= np.uint32(1 << bit)
    chosen.CopyFrom(onnx.numpy_helper.from_array(values, chosen.name))
    onnx.save(model, str(target))
    return f"bit {bit}: {before:.3g} -> {values.reshape(-1)[place]:.3g}"


def f1(want: list[Detections], found: list[Detections]) -> float:
    pairs = (match_boxes(one, (), other, ()) for one, other in zip(want, found, strict=True))
    return sum(pairs, BoxMatches()).f1(1) or 0.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    settings = ModelSettings(provider="cpu", lanes=1, threads=1)
    whole, shown, random = Detector(settings), frames(), np.random.default_rng(args.seed)
    whole.open()
    want = [whole.detect([each]).detections[0] for each in shown]
    counts: Counter[tuple[bool, bool]] = Counter()
    with TemporaryDirectory() as folder:
        GoldenCheck(whole, Path(folder), 3600.0).step(0.0)
        for number in range(args.trials):
            path = Path(folder) / f"{number}.onnx"
            what, hit = damaged(path, random), Detector(settings)
            try:
                hit.opened_with(path, whole.info.sha256)
            except VedetteError as error:
                print(f"{what}: refused: {error}"[:120])
                counts[True, True] += 1
                continue
            whole.exchange(hit)
            found = f1(want, [whole.detect([each]).detections[0] for each in shown])
            check = GoldenCheck(whole, Path(folder), 3600.0)
            check.step(0.0)
            whole.exchange(hit)
            counts[check.result.state == "differs", found < SAME] += 1
            print(f"{what}: {check.result.state}, F1 of boxes on other frames {found:.3f}", flush=True)
    print(f"boxes changed: found {counts[True, True]}, missed {counts[False, True]}")
    print(f"boxes as before: found {counts[True, False]}, passed {counts[False, False]}")


if __name__ == "__main__":
    main()
