"""What the motion gate leaves out, and whether anything was missed: each frame goes through the model as well.

    python benchmarks/motion_gate.py MODEL.onnx VIDEO [VIDEO ...] [--interval 1] [--stride 1]

A frame that the gate would leave out counts as missed if it shows a box (score 0.5 or more) that the last frame let
through did not: no box of its class with an IoU of 0.5 and a score of 0.25. That share is put beside the share of all
neighbouring frames that differ so: a detector flickers by itself.
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path

import av
import numpy as np
import structlog

from agent.config.schema import ModelSettings
from agent.core.types import Detections, Frame
from agent.detection import motion_gate as gate
from agent.detection.nms import overlap
from agent.detection.session import Detector


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--interval", type=float, default=1.0)
    parser.add_argument("--stride", type=int, default=1, help="look at every so many frames of the video")
    args = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    detector = Detector(ModelSettings(path=str(args.model), provider="cpu"))
    detector.open()
    print(
        "| video | frames | left out | missed | neighbours that differ | gate, CPU ms a frame |\n|---|---|---|---|---|---|"
    )
    for video in args.videos:
        print(row(detector, video, args.interval, args.stride), flush=True)


def row(detector: Detector, video: Path, interval: float, stride: int) -> str:
    motion, spent = gate.MotionGate(), 0.0
    left_out = missed = flickered = count = 0
    before = passed = None
    with av.open(str(video)) as container:
        for picture in itertools.islice(container.decode(video=0), 0, None, stride):
            frame = Frame(
                camera="video", index=count, image=picture.to_ndarray(format="bgr24"), captured_at=0.0,
                monotonic_ns=int((picture.time or 0) * 1e9),
            )  # fmt: skip
            (found,) = detector.detect([frame]).detections
            began = time.thread_time()
            news = motion.passes(frame, interval)
            spent += time.thread_time() - began
            count += 1
            flickered += before is not None and shows_more(found, before)
            if news or passed is None:
                passed = found
            else:
                left_out += 1
                missed += shows_more(found, passed)
            before = found
    return (
        f"| {video.stem} | {count} | {left_out / count:.0%} | {missed} of {left_out} "
        f"| {flickered / count:.1%} | {spent / count * 1e3:.2f} |"
    )


def shows_more(now: Detections, then: Detections) -> bool:
    """Whether `now` holds a sure box that `then` has no partner for."""
    ious = overlap(now.boxes, then.boxes)
    ious = np.where(now.class_ids[:, None] == then.class_ids[None, :], ious, 0)
    best = ious.max(axis=1, initial=0)
    return bool(((best < 0.5) & (now.scores >= 0.5)).any())


if __name__ == "__main__":
    main()
