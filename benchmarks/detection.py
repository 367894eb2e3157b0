"""What the detector adds to a bare `session.run`: both on the same frames, call by call in turn.

    python benchmarks/detection.py MODEL.onnx VIDEO [--runs 200] [--batch 1] [--other OTHER.onnx]

"bare" is `InferenceSession.run` with ONNX Runtime's own defaults on as many threads and an input prepared
beforehand; "bare, our options" the same with the session options of the agent. Ratios above 1: the agent is
the faster one. Call by call in turn, because a shared machine changes its speed from second to second; CPU time is
steadier still. `--other` also detects with another build of the model (uint8 input, half precision).
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
from agent.core.types import Frame
from agent.detection.preprocess import BatchBuffer, InputType, plan, untouched
from agent.detection.providers import available_threads
from agent.detection.runner import Runner
from agent.detection.session import Detector


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--other", type=Path)
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))

    # one lane: these calls come one by one
    detector = Detector(ModelSettings(path=str(arguments.model), provider="cpu", lanes=1))
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

    work: dict[str, Callable[[int], object]] = {
        "bare": lambda _: default.run(None, {name: batch}),
        "bare, our options": lambda _: ours.run(batch),
        "detect": detect,
    }
    if arguments.other:
        other = Detector(ModelSettings(path=str(arguments.other), provider="cpu", lanes=1))
        other.open()
        work["detect, other"] = lambda turn: other.detect([frames[turn % len(frames)]] * arguments.batch)
    seconds, cpu = interleave(work, arguments.runs)
    for what, times in seconds.items():
        print(
            f"{what:18} {spread(times * 1e3 / arguments.batch)} ms a frame, "
            f"CPU {spread(cpu[what] * 1e3 / arguments.batch)} ms"
        )
    for what in seconds:
        if what != "bare, our options":
            print(
                f"{what} to bare, our options: speed {spread(seconds['bare, our options'] / seconds[what])}, "
                f"CPU {np.median(cpu[what]) / np.median(cpu['bare, our options']):.3f}"
            )
    before, run, after = np.median(np.array(stages), axis=0) / arguments.batch
    print(
        f"preprocess {before * 1e6:.0f} µs ({before / run:.2%} of inference), inference {run * 1e3:.2f} ms, "
        f"postprocess {after * 1e6:.0f} µs ({after / run:.2%})"
    )


def interleave(
    work: dict[str, Callable[[int], object]], runs: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Wall and CPU seconds of each call."""
    times: dict[str, list[tuple[float, float]]] = {what: [] for what in work}
    for turn in range(-5, runs):  # five to warm up
        order = list(work.items())
        first = turn % len(order)  # everyone goes first in turn: the caches are left by whoever ran before
        for what, call in order[first:] + order[:first]:
            started, cpu = time.perf_counter(), time.process_time()
            call(turn)
            if turn >= 0:
                times[what].append((time.perf_counter() - started, time.process_time() - cpu))
    wall, cpus = ({what: np.array(values)[:, column] for what, values in times.items()} for column in (0, 1))
    return wall, cpus


def prepared(detector: Detector, frames: list[Frame]) -> np.ndarray:
    info = detector.info
    shape = frames[0].image.shape[:2]
    size = (shape[0], shape[1])
    letterboxed = plan(size, info.input_size, stride=info.stride, minimal=info.dynamic_size)
    box = untouched(size) if info.letterboxes else letterboxed
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
