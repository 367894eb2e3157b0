"""Do two lanes pay? The scheduler with one lane and with two, slice by slice in turn, on frames decoded beforehand.

    python benchmarks/overlap.py MODEL.onnx VIDEO [--device-ms 4] [--cameras 8] [--first-batch 8] [--rounds 8]

Without --device-ms the model runs on the CPU. With it, a device beside the CPU is imitated: a run sleeps for
that long (half as much again for each further frame of a batch) and gives outputs that the model made before.
Ratios: two lanes to one, over slices that followed one another.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import threading
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import structlog
from numpy.typing import NDArray

from agent.config.schema import ModelSettings
from agent.core.frame_slots import FrameSlots
from agent.core.types import Frame, FrameResult
from agent.detection import Detect, ModelInfo
from agent.detection.scheduler import Scheduler
from agent.detection.session import Detector

SLICE_SECONDS = 2.5


class OpenDetector:
    """A detector that stays open from slice to slice; with `device_ms` its model only sleeps, once at a time."""

    def __init__(self, path: Path, device_ms: float, lanes: int) -> None:
        self._detector = Detector(ModelSettings(path=str(path), provider="cpu", lanes=lanes))
        self._detector.open()
        self._direct = device_ms > 0
        if self._direct:
            self._imitate(device_ms / 1e3)

    def _imitate(self, seconds: float) -> None:
        runner = self._detector._opened.runner  # type: ignore[union-attr]
        run, made, alone = runner.run, {}, threading.Lock()

        def sleep(batch: NDArray[Any]) -> list[NDArray[Any]]:
            if batch.shape not in made:
                made[batch.shape] = run(batch)
            with alone:
                time.sleep(seconds * (1 + (len(batch) - 1) / 2))
            return made[batch.shape]

        runner.run = sleep  # type: ignore[method-assign]

    @property
    def info(self) -> ModelInfo:
        """The model's."""
        info = self._detector.info
        return dataclasses.replace(info, threads=0) if self._direct else info

    def open(self) -> None:
        """It is open."""

    def close(self) -> None:
        """It stays open."""

    def bound(self) -> Detect:
        """The model's."""
        return self._detector.bound()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("--device-ms", type=float, default=0.0)
    parser.add_argument("--cameras", type=int, default=1)
    parser.add_argument("--first-batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=8)
    args = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    pictures = read(args.video)
    detectors = {lanes: OpenDetector(args.model, args.device_ms, lanes) for lanes in (1, 2)}
    rows: dict[int, list[tuple[float, float, float]]] = {1: [], 2: []}
    for turn in range(args.rounds):
        for lanes in (1, 2) if turn % 2 else (2, 1):
            rows[lanes].append(run_slice(detectors[lanes], pictures, args))
    one, two = (np.array(rows[lanes]) for lanes in (1, 2))
    for name, values in (("one lane", one), ("two lanes", two)):
        rate, cpu, latency = np.median(values, axis=0)
        print(f"{name:10} {rate:7.1f} frames/s  {cpu:6.2f} CPU ms a frame  {latency:6.1f} ms board to result")
    ratio = two[:, 0] / one[:, 0]
    low, middle, high = np.percentile(ratio, [10, 50, 90])
    print(f"two to one: {middle:.2f} (p10 {low:.2f}, p90 {high:.2f}) frames/s", end=", ")
    print(f"{np.median(two[:, 1] / one[:, 1]):.2f} CPU, {np.median(two[:, 2] / one[:, 2]):.2f} latency")


def run_slice(
    detector: OpenDetector, pictures: list[NDArray[np.uint8]], args: argparse.Namespace
) -> tuple[float, float, float]:
    """Frames/s, CPU milliseconds a frame, and median milliseconds from the board to the result."""
    slots, results, stop = FrameSlots(), list[FrameResult](), threading.Event()
    scheduler = Scheduler(
        detector, slots, results.append, max_batch=8, batch_wait=0.004, cameras=lambda: args.cameras,
        first_batch=args.first_batch,
    )  # fmt: skip

    def feed(name: str) -> None:
        for image in itertools.cycle(pictures):
            if stop.is_set():
                return
            now = time.monotonic_ns()
            frame = Frame(camera=name, index=0, image=image, captured_at=0.0, monotonic_ns=now)
            slots.put_when_free(frame, stop, lambda: None)

    threads = [threading.Thread(target=feed, args=(str(n),)) for n in range(args.cameras)]
    threads.append(threading.Thread(target=scheduler.run, args=(stop,)))
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    before, cpu, began = len(results), time.process_time(), time.perf_counter()
    time.sleep(SLICE_SECONDS)
    count, cpu, seconds = len(results) - before, time.process_time() - cpu, time.perf_counter() - began
    stop.set()
    for thread in threads:
        thread.join()
    latency = float(np.median([result.stages.total for result in results]))
    return count / seconds, cpu / count * 1e3, latency * 1e3


def read(video: Path, count: int = 64) -> list[NDArray[np.uint8]]:
    with av.open(str(video)) as container:
        decoded = itertools.islice(container.decode(video=0), count)
        return [np.asarray(picture.to_ndarray(format="bgr24")) for picture in decoded]


if __name__ == "__main__":
    main()
