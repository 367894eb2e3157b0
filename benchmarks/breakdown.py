"""Where the agent's CPU time goes, by thread, a frame: what the model takes, and what everything else adds to it.

    python benchmarks/breakdown.py MODEL.onnx VIDEO [--cameras 1] [--seconds 12]

The service runs in this process, on files read as fast as the model goes, with windows of a minute and no broker (the
outbox is written all the same). CPU time of each thread is the kernel's, so other work on the machine disturbs it
little. Shares are of the model's own CPU time.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections import defaultdict
from operator import itemgetter
from pathlib import Path
from typing import Any

import structlog

from agent.app.service import Service
from agent.cameras.kinds.stream import StreamCamera
from agent.config.schema import CameraSettings, ModelSettings, Settings
from agent.core.types import FrameResult

MODEL, PREPARED = "the model (session.run)", "preprocess, postprocess, scheduling"


class Meter:
    """Counts frames, and the CPU time of the lanes' threads inside `session.run`."""

    def __init__(self, service: Service) -> None:
        self.frames, self.inside = 0, 0.0
        deliver, runner = service.scheduler._deliver, service.detector._opened.runner  # type: ignore[union-attr]
        run = runner.run

        def count(result: FrameResult) -> None:
            self.frames += 1
            deliver(result)

        def timed(batch: Any) -> Any:
            began = time.thread_time()
            outputs = run(batch)
            self.inside += time.thread_time() - began
            return outputs

        service.scheduler._deliver = count
        runner.run = timed  # type: ignore[method-assign]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("video")
    parser.add_argument("--cameras", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=12.0)
    args = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    with tempfile.TemporaryDirectory() as folder:
        options = StreamCamera.Options(url=args.video, loop=True, pace="fast")
        service = Service(
            Settings(
                state_directory=folder,
                model=ModelSettings(path=args.model, provider="cpu"),
                cameras=tuple(CameraSettings(name=f"c{n}", options=options) for n in range(args.cameras)),
            )
        )
        service.open()
        meter = Meter(service)
        service.start()
        time.sleep(3)
        frames, inside, before = meter.frames, meter.inside, cpu_by_thread()
        time.sleep(args.seconds)
        after = cpu_by_thread()
        frames, inside = meter.frames - frames, meter.inside - inside
        spent = defaultdict(float, {name: seconds - before[name] for name, seconds in after.items()})
        service.stop()
    spent[MODEL] = spent.pop("onnxruntime", 0.0) + inside
    spent[PREPARED] -= inside
    print(f"{args.cameras} cameras, {frames} frames in {args.seconds:g} s\n")
    print("| what | CPU ms a frame | of the model's |\n|---|---|---|")
    for name, seconds in sorted(spent.items(), key=itemgetter(1), reverse=True):
        if seconds / frames > 2e-6:
            print(f"| {name} | {seconds / frames * 1e3:.3f} | {seconds / spent[MODEL]:.1%} |")
    print(f"| all | {sum(spent.values()) / frames * 1e3:.2f} | {sum(spent.values()) / spent[MODEL]:.1%} |")


def cpu_by_thread() -> defaultdict[str, float]:
    """CPU seconds so far; the cameras' threads together, and what is neither Python's nor FFmpeg's is the model's."""
    python = {thread.native_id: thread.name for thread in threading.enumerate()}
    spent: defaultdict[str, float] = defaultdict(float)
    for task in Path("/proc/self/task").iterdir():
        try:
            seconds = int((task / "schedstat").read_text().split()[0]) / 1e9
            comm = (task / "comm").read_text()
        except OSError:
            continue
        name = python.get(int(task.name), "FFmpeg" if comm.startswith("av:") else "onnxruntime")
        spent[group(name)] += seconds
    return spent


def group(name: str) -> str:
    if name == "FFmpeg" or name.startswith("camera-"):
        return "cameras (decoding, health)"
    if name == "scheduler" or name.startswith("lane-"):
        return PREPARED
    if name.startswith("probe-") or name == "telemetry":
        return "telemetry"
    return {"analysis": "analysis (windows, features, drift, rules)"}.get(name, name)


if __name__ == "__main__":
    main()
