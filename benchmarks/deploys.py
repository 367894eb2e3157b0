"""Deployments under load: frames that a switch costs, and memory after each; quiet stretches in turns beside them.

    python benchmarks/deploys.py [--model MODEL.onnx] [--deploys 30] [--cameras 2] [--fps 5] [--pace real|fast]
                                 [--lanes 2] [--quiet 4] [--json FILE]

A whole agent runs drawn cameras whose frames are numbered. Again and again it is left alone for `--quiet` seconds, and
then a model is deployed: the same weights in one of two files. Every frame that no result came of is counted to what was
on its way when it was due: nothing, a model being opened, the gates, the switch, the probation. `switch` reaches from
when the exchange is asked for to when the first batch of the new model, and one more run, are done.

`--pace fast` reads as fast as the model goes, and no frame may be missing at all. With `--pace real` a frame that is not
taken before the next comes is replaced: where the box is busy that happens at any time, and the question is whether it
happens more at a switch. `gap` is the longest time between two results: at the switch, and in as long a piece of the
quiet stretch before.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path

import psutil
import structlog

from agent.app.service import Service
from agent.cameras.kinds.synthetic.camera import SyntheticOptions
from agent.config.deploy_settings import DeploySettings
from agent.config.schema import CameraSettings, ModelSettings, Settings, TelemetrySettings, WindowSettings
from agent.core import memory as heap
from agent.core.types import FrameResult
from agent.detection.opening import DEMO_MODEL

PHASES = ("quiet", "opening", "gates", "switch", "probation")


@dataclass
class Round:
    """One deployment: when each phase began (monotonic), what was measured of it."""

    marks: dict[str, float] = field(default_factory=dict)
    state: str = ""
    wait_ms: float = 0.0
    gap_ms: float = 0.0
    quiet_gap_ms: float = 0.0
    rss_mb: float = 0.0


@dataclass(frozen=True)
class Seen:
    """A result: its frame's number and when that was due, and when the result was there."""

    camera: str
    index: int
    due: float
    done: float


def main() -> int:
    args = arguments()
    logging.disable(logging.WARNING)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(args, Path(folder))
        rounds = bench.run()
    report(args, rounds, bench.seen)
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=DEMO_MODEL)
    parser.add_argument("--deploys", type=int, default=30)
    parser.add_argument("--cameras", type=int, default=2)
    parser.add_argument("--fps", type=float, default=5.0)
    parser.add_argument("--pace", choices=("real", "fast"), default="real")
    parser.add_argument("--lanes", type=int, default=0)
    parser.add_argument("--input-size", type=int, default=0)
    parser.add_argument("--quiet", type=float, default=4.0)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


class Bench:
    """The agent and what was seen of it."""

    def __init__(self, args: argparse.Namespace, folder: Path) -> None:
        self.args, self.seen = args, list[Seen]()
        self.new_model = threading.Event()
        content = args.model.read_bytes()
        self.files = [folder / "one.onnx", folder / "two.onnx"]
        for path in self.files:  # field 3 of ModelProto, producer_version: another digest, the same graph
            path.write_bytes(content + b"\x1a\x03" + path.stem.encode())
        self.service = Service(self.settings(folder), on_frame=self.on_frame)

    def settings(self, folder: Path) -> Settings:
        """The agent's config."""
        args = self.args
        cameras = tuple(
            CameraSettings(
                name=f"c{number}",
                kind="synthetic",
                options=SyntheticOptions(fps=args.fps, pace=args.pace, seed=number, width=320, height=192),
            )
            for number in range(1, args.cameras + 1)
        )
        return Settings(
            state_directory=str(folder / "state"),
            windows=WindowSettings(length=5.0),
            telemetry=TelemetrySettings(gpu=False, temperatures=False),
            model=ModelSettings(path=str(args.model), lanes=args.lanes, input_size=args.input_size),
            deploy=DeploySettings(probation=1.0, most_latency_ratio=1000.0),
            cameras=cameras,
        )

    def on_frame(self, result: FrameResult) -> None:
        """In the lanes' threads, one at a time."""
        frame = result.frame
        due = frame.monotonic_ns / 1e9
        self.seen.append(Seen(frame.camera, frame.index, due, time.monotonic()))

    def run(self) -> list[Round]:
        """Every deployment, one after the other."""
        service = self.service
        service.open()
        service.start()
        try:
            until(lambda: len(self.seen) > 20 * self.args.cameras, 60)
            return [self.deploy(self.files[number % 2]) for number in range(self.args.deploys)]
        finally:
            time.sleep(1)
            service.stop()

    def deploy(self, path: Path) -> Round:
        """A quiet stretch, and a deployment of `path`."""
        this = Round(marks={"quiet": time.monotonic()})
        time.sleep(self.args.quiet)
        service, inner = self.service, self.service.deployer._running
        exchange, changed = inner.exchange, inner.changed

        def noted(other: object) -> None:
            this.marks["switch"] = time.monotonic()
            exchange(other)  # type: ignore[arg-type]  # the second Detector
            this.wait_ms = 1000 * (time.monotonic() - this.marks["switch"])
            ran = self.run_seconds()
            count = len(self.seen)
            until(lambda: len(self.seen) > count, 10)
            this.marks["probation"] = time.monotonic() + ran

        def step() -> None:
            latest = service.deployments.models.latest
            if latest is not None and latest.step.value == "loaded":
                this.marks["gates"] = time.monotonic()
            changed()

        object.__setattr__(inner, "exchange", noted)
        object.__setattr__(inner, "changed", step)
        try:
            this.marks["opening"] = time.monotonic()
            id = service.handlers["model_deploy"]({"path": str(path)})["deployment"]["id"]
            until(lambda: service.deployments.models.deployment is None, 120)
        finally:
            object.__setattr__(inner, "exchange", exchange)
            object.__setattr__(inner, "changed", changed)
        this.marks["end"] = time.monotonic()
        latest = service.deployments.models.latest
        assert latest is not None and latest.id == id
        this.state = latest.step.value if latest.step.value == "kept" else latest.reason
        heap.trim()
        this.rss_mb = psutil.Process().memory_info().rss / 1e6
        return this

    def run_seconds(self) -> float:
        """What a run takes, about: the usual time between two results."""
        return statistics.median(b.done - a.done for a, b in pairwise(self.seen[-40:]))


def until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {seconds:g} s")
        time.sleep(0.002)


# -- what came of it ------------------------------------------------------------------------------------------------


def missing(seen: list[Seen]) -> list[float]:
    """When each frame that no result came of was due: between the two beside it."""
    times = []
    for camera in {one.camera for one in seen}:
        own = sorted((one for one in seen if one.camera == camera), key=lambda one: one.index)
        for before, after in pairwise(own):
            gap = after.index - before.index
            step = (after.due - before.due) / max(1, gap)
            times += [before.due + step * number for number in range(1, gap)]
    return times


def phase_of(rounds: list[Round], at: float) -> str:
    for this in rounds:
        if this.marks["quiet"] <= at < this.marks["end"]:
            begun = [name for name in PHASES if name in this.marks and this.marks[name] <= at]
            return max(begun, key=lambda name: this.marks[name])
    return "beside"


def longest_gap(seen: list[Seen], start: float, end: float) -> float:
    """In ms, between results, of those that touch the time from `start` to `end`."""
    times = sorted(one.done for one in seen)
    gaps = [b - a for a, b in pairwise(times) if b >= start and a <= end]
    return 1000 * max(gaps, default=0.0)


def report(args: argparse.Namespace, rounds: list[Round], seen: list[Seen]) -> None:
    lost, served = (
        Counter(phase_of(rounds, at) for at in times) for times in (missing(seen), [one.due for one in seen])
    )
    twice = len(seen) - len({(one.camera, one.index) for one in seen})
    seconds = dict.fromkeys((*PHASES, "end"), 0.0)
    for this in rounds:
        names = [name for name in (*PHASES, "end") if name in this.marks]
        for name, following in pairwise(names):
            seconds[name] += this.marks[following] - this.marks[name]
        if "switch" in this.marks:
            start, end = this.marks["switch"], this.marks["probation"]
            this.gap_ms = longest_gap(seen, start, end)
            earlier = this.marks["opening"] - (end - start)
            this.quiet_gap_ms = longest_gap(seen, earlier, this.marks["opening"])
    states = Counter(this.state for this in rounds)
    print(f"{len(rounds)} deployments: {dict(states)}; {len(seen)} results, {twice} twice")
    print(f"{'':<12}{'seconds':>9}{'results':>9}{'missing':>9}{'results/s':>11}{'missing/s':>11}")
    for name in PHASES:
        took = max(seconds[name], 1e-9)
        print(
            f"{name:<12}{seconds[name]:>9.1f}{served[name]:>9}{lost[name]:>9}"
            f"{served[name] / took:>11.2f}{lost[name] / took:>11.2f}"
        )
    for name, values in (
        ("exchange, ms", [this.wait_ms for this in rounds]),
        ("gap at the switch, ms", [this.gap_ms for this in rounds]),
        ("gap in quiet, ms", [this.quiet_gap_ms for this in rounds]),
    ):
        print(f"{name}: median {statistics.median(values):.0f}, most {max(values):.0f}")
    rss = [this.rss_mb for this in rounds]
    print("RSS after each, MB: " + " ".join(f"{one:.0f}" for one in rss))
    if args.json:
        args.json.write_text(json.dumps([asdict(this) for this in rounds]))


if __name__ == "__main__":
    sys.exit(main())
