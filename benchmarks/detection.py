"""What the detector adds to a bare `session.run`: both on the same frames, call by call in turn.

    python benchmarks/detection.py MODEL.onnx VIDEO [--runs 200] [--batch 1]

"bare" is `InferenceSession.run` with ONNX Runtime's own defaults on as many threads and an input prepared
beforehand; "bare, our options" the same with the session options of the agent. Ratios above 1: the agent is
the faster one. Call by call in turn, because a shared machine changes its speed from second to second.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import onnxruntime
import structlog

from agent.config.schema import ModelSettings
from agent.detection.preprocess import BatchBuffer, InputType, plan
from agent.detection.providers import available_threads
from agent.detection.runner import Runner
from agent.detection.session import Detector
from agent.types import Frame


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--batch", type=int, default=1)
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))

    detector = Detector(ModelSettings(path=str(arguments.model), provider="cpu"))
    detector.open()
    frames = read(arguments.video, 64)
    batch = prepared(detector, frames[: arguments.batch])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads = available_threads()  # left alone it would take half of SMT cores
    # its threads would go on spinning after each run, and slow down whoever's turn is next
    options.add_session_config_entry("session.force_spinning_stop", "1")
    default = onnxruntime.InferenceSession(str(arguments.model), options, providers=["CPUExecutionProvider"])
    name = default.get_inputs()[0].name
    ours = Runner(onnxruntime, arguments.model, ["CPUExecutionProvider"], threads=threads)
    stages: list[tuple[float, float, float]] = []

    def detect(turn: int) -> None:
        chosen = [frames[(turn + offset) % len(frames)] for offset in range(arguments.batch)]
        found = detector.detect(chosen)
        stages.append((found.preprocess, found.inference, found.postprocess))

    seconds = interleave(
        {
            "bare": lambda _: default.run(None, {name: batch}),
            "bare, our options": lambda _: ours.run(batch),
            "detect": detect,
        },
        arguments.runs,
    )
    for what, times in seconds.items():
        print(f"{what:18} {spread(times * 1e3 / arguments.batch)} ms a frame")
    print(f"detect against bare              {spread(seconds['bare'] / seconds['detect'])}")
    print(f"detect against bare, our options {spread(seconds['bare, our options'] / seconds['detect'])}")
    before, run, after = np.median(np.array(stages), axis=0) / arguments.batch
    print(
        f"preprocess {before * 1e6:.0f} µs ({before / run:.2%} of inference), inference {run * 1e3:.2f} ms, "
        f"postprocess {after * 1e6:.0f} µs ({after / run:.2%})"
    )


def interleave(work: dict[str, Callable[[int], object]], runs: int) -> dict[str, np.ndarray]:
    times: dict[str, list[float]] = {what: [] for what in work}
    for turn in range(-5, runs):  # five to warm up
        order = list(work.items())
        first = turn % len(order)  # everyone goes first in turn: the caches are left by whoever ran before
        for what, call in order[first:] + order[:first]:
            started = time.perf_counter()
            call(turn)
            if turn >= 0:
                times[what].append(time.perf_counter() - started)
    return {what: np.array(values) for what, values in times.items()}


def prepared(detector: Detector, frames: list[Frame]) -> np.ndarray:
    info = detector.info
    shape = frames[0].image.shape[:2]
    box = plan((shape[0], shape[1]), info.input_size, stride=info.stride, minimal=info.dynamic_size)
    buffer = BatchBuffer(InputType(info.input_type), box.size, len(frames))
    for slot, frame in enumerate(frames):
        buffer.write(slot, frame.image, box)
    return buffer.array


def read(video: Path, count: int) -> list[Frame]:
    frames = []
    with av.open(str(video)) as container:
        for index, picture in enumerate(container.decode(video=0)):
            if index == count:
                break
            image = picture.to_ndarray(format="bgr24")
            frames.append(
                Frame(
                    camera="bench",
                    index=index,
                    image=image,
                    captured_at=0.0,
                    monotonic_ns=time.monotonic_ns(),
                )
            )
    return frames


def spread(values: np.ndarray) -> str:
    low, middle, high = np.percentile(values, [10, 50, 90])
    return f"{middle:.3f} (p10 {low:.3f}, p90 {high:.3f})"


if __name__ == "__main__":
    main()
