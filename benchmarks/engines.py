"""Engines and precisions side by side in one process, frame by frame in turn: CPU time of a frame, and agreement.

    python benchmarks/engines.py MODEL.onnx VIDEO [--prepared PREPARED.onnx] [--int8 INT8.onnx] [--frames 24]

Each runs `Detector.detect` on one thread, on the same frames, spread over the video; the time is the process's own CPU time,
which other work on the machine changes less than the clock's. Ratios are taken frame by frame, to the model as it is on ONNX
Runtime; the table gives the median, the 10th and the 90th percentile. F1: boxes of that one found again (IoU 0.5, same class).
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
import structlog

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from agent.cameras.kinds.stream import StreamCamera
from agent.config.schema import ModelSettings
from agent.core.errors import MissingExtra, ModelError
from agent.core.secret import Masked
from agent.core.types import Frame
from agent.detection.cpu import read_cpu
from agent.detection.matching import BoxMatches, match_boxes
from agent.detection.session import Detector
from agent.modeltools.frames import sample_frames


def main() -> int:
    args = arguments()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    frames = video_frames(args.video, args.frames)
    contenders = opened(args)
    seconds = np.zeros((len(frames), len(contenders)))
    matches = [BoxMatches()] * len(contenders)
    for detector in contenders.values():
        detector.detect(frames[:1])
    for row, frame in enumerate(frames):
        found = []
        for column, detector in enumerate(contenders.values()):
            began = time.process_time()
            found.append(detector.detect([frame]).detections[0])
            seconds[row, column] = time.process_time() - began
        names = next(iter(contenders.values())).info.classes
        matches = [
            before + match_boxes(found[0], names, one, names)
            for before, one in zip(matches, found, strict=True)
        ]
    report(list(contenders), seconds, matches)
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("video")
    parser.add_argument("--prepared", help="the model, prepared")
    parser.add_argument("--int8", help="the model, prepared with --int8")
    parser.add_argument("--frames", type=int, default=24)
    return parser.parse_args()


def video_frames(video: str, count: int) -> list[Frame]:
    camera = StreamCamera("video", StreamCamera.Options(url=Masked(video), pace="fast"))
    images = sample_frames(camera, count, (4096, 4096), lambda items, *_: items)
    return [
        Frame(camera="video", index=index, image=image, captured_at=0.0, monotonic_ns=0)
        for index, image in enumerate(images)
    ]


def opened(args: argparse.Namespace) -> dict[str, Detector]:
    """Those that can run here, by name; bf16 only where the CPU has it."""
    wanted = [("fp32", args.model, "fp32"), ("prepared", args.prepared, "fp32"), ("INT8", args.int8, "fp32")]
    if read_cpu().bf16:
        wanted.insert(1, ("bf16", args.model, "bf16"))
    found = {}
    for name, model, precision in wanted:
        for provider, engine in (("cpu", "ONNX Runtime"), ("openvino", "OpenVINO")):
            if not model or (precision == "bf16" and provider == "cpu"):
                continue
            settings = ModelSettings(
                path=str(Path(model).resolve()), provider=provider, precision=precision, threads=1, lanes=1
            )
            detector = Detector(settings)
            try:
                detector.open()
            except (ModelError, MissingExtra) as error:
                print(f"{engine}, {name}: left out: {error}")
                continue
            found[f"{engine}, {name}"] = detector
    return found


def report(names: list[str], seconds: np.ndarray, matches: list[BoxMatches]) -> None:
    cpu = read_cpu()
    print(
        f"\n{date.today()}, {platform.machine()} ({cpu.model}; bf16 {'yes' if cpu.bf16 else 'no'}, "
        f"VNNI {'no' if cpu.saturates else 'yes'}), {os.cpu_count()} cores, load {os.getloadavg()[0]:.0f}, "
        f"{len(seconds)} frames\n"
    )
    print("| engine, model | CPU ms a frame | speed | F1 | boxes of both |")
    print("|---|---|---|---|---|")
    for column, name in enumerate(names):
        low, middle, high = np.percentile(seconds[:, 0] / seconds[:, column], (10, 50, 90))
        f1 = matches[column].f1(1)
        print(
            f"| {name} | {np.median(seconds[:, column]) * 1e3:.1f} | {middle:.2f} ({low:.2f}-{high:.2f}) "
            f"| {'no boxes' if f1 is None else f'{f1:.3f}'} | {matches[column].boxes} |"
        )


if __name__ == "__main__":
    sys.exit(main())
