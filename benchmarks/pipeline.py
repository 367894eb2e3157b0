"""The whole agent beside the bare model, Ultralytics and OpenCV: one run, interleaved rounds, ratios with their spread.

    python benchmarks/pipeline.py MODEL.onnx VIDEO [--ultralytics-python VENV/bin/python] [--roboflow-python R/bin/python]
                                  [--cameras 2 4 8 16] [--prepared PREPARED.onnx] [--int8 INT8.onnx]
                                  [--openvino] [--uint8 UINT8.onnx] [--rounds 5] [--seconds 10]
                                  [--only NAME ...] [--live CAMERAS:FPS ...]

Each contender runs in a process of its own, started anew each round, on the same model file, video, cores and number of
threads. A ratio is taken within a round, so that a busy spell of the machine hits both sides; the table gives the
median of the ratios, and the lowest and highest. "bare" is `session.run` on one random picture, over and over, with
ONNX Runtime's own options (threads that spin while they wait); ratios are to that. "waiting": its threads sleep while
they wait. "abreast": a run on each core, on one thread, which is how the agent goes about it; "unplanned": without a
plan of each run's memory. The agent reads the video as fast as the model goes, publishes to a real broker in 5 s windows,
and is measured by what it published. CPU is of the whole process, decoding included (the bare loop decodes nothing).

`--live 2:10` runs the agent on 2 cameras of at most 10 frames/s in real time instead, and prints latencies and CPU time.

Virtual environments for the others: python -m venv V && V/bin/pip install ultralytics onnxruntime supervision;
python -m venv R && R/bin/pip install inference
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

from contenders.agent_run import ROOT, Run, Told, peak_mb, run_agent

sys.path.insert(0, str(ROOT))

from agent.detection.cpu import read_cpu

SCRIPTS = Path(__file__).parent / "contenders"
BARE = "bare"


@dataclass(frozen=True)
class Outcome:
    """One round of one contender."""

    fps: float
    cpu_per_thousand: float
    peak_mb: float
    start_seconds: float


Contenders = dict[str, Callable[[], Outcome]]


def main() -> int:
    args = arguments()
    if args.live:
        return live(args)
    contenders = {
        name: contend for name, contend in all_contenders(args).items()
        if not args.only or name == BARE or any(word in name for word in args.only)
    }  # fmt: skip
    rounds: list[dict[str, Outcome]] = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ended early, it reports what it has
    try:
        for number in range(args.rounds):
            rounds.append({})
            order = list(contenders.items())
            shift = number % len(order)
            for name, contend in order[shift:] + order[:shift]:
                run_one(name, contend, rounds)
    finally:
        report(list(contenders), rounds)
    return 0


def run_one(name: str, contend: Callable[[], Outcome], rounds: list[dict[str, Outcome]]) -> None:
    try:
        outcome = contend()
    except RuntimeError as error:
        print(f"round {len(rounds)}  {name:<34} left out: {error}", flush=True)
        return
    rounds[-1][name] = outcome
    print(
        f"round {len(rounds)}  {name:<34} {outcome.fps:7.2f} frames/s  "
        f"{outcome.cpu_per_thousand:6.2f} CPU s / 1,000",
        flush=True,
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=lambda text: str(Path(text).resolve()))
    parser.add_argument("video", type=lambda text: str(Path(text).resolve()))
    parser.add_argument("--prepared", type=lambda text: str(Path(text).resolve()), help="the model, prepared")
    parser.add_argument("--int8", type=lambda text: str(Path(text).resolve()), help="prepared with --int8")
    parser.add_argument(
        "--uint8",
        type=lambda text: str(Path(text).resolve()),
        help="prepared with --input uint8: what the agent runs with OpenVINO",
    )
    parser.add_argument("--openvino", action="store_true", help="also with OpenVINO, bare and in the agent")
    parser.add_argument("--shape", type=json.loads, default=[1, 3, 384, 640], help="input of the bare loop")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--ultralytics-python", help="an interpreter that has ultralytics and onnxruntime")
    parser.add_argument("--roboflow-python", help="an interpreter that has Roboflow's inference")
    parser.add_argument("--cameras", type=int, nargs="*", default=[], help="also with so many cameras")
    parser.add_argument("--only", nargs="*", default=[], help="only contenders whose name holds one of these")
    parser.add_argument("--live", nargs="*", default=[], metavar="CAMERAS:FPS")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0)
    return parser.parse_args()


def all_contenders(args: argparse.Namespace) -> Contenders:
    model, video, seconds = args.model, args.video, args.seconds

    def bare(kind: str, batch: int = 1) -> Outcome:
        shape = json.dumps([batch, *args.shape[1:]])
        return script(sys.executable, "bare", model, shape, seconds, kind, args.threads)

    def agent(
        cameras: int, *, monitoring: bool = True, model: str = model, provider: str = "cpu",
        precision: str = "auto",
    ) -> Outcome:  # fmt: skip
        began = time.time()
        run = Run(
            model=model, video=video, seconds=seconds, cameras=cameras, monitoring=monitoring,
            options=(f'provider = "{provider}"', f'precision = "{precision}"'),
        )  # fmt: skip
        return outcome_of(run_agent(run), began)

    contenders: Contenders = {
        BARE: lambda: bare("default"),
        "bare, waiting": lambda: bare("waiting"),
        "bare, abreast": lambda: bare("abreast"),
        "bare, abreast, unplanned": lambda: bare("unplanned"),
        "bare, batch of 8": lambda: bare("default", 8),
        "vedette": lambda: agent(1),
        "vedette, no monitoring": lambda: agent(1, monitoring=False),
    }
    if args.prepared:
        contenders["vedette, prepared model"] = lambda: agent(1, model=args.prepared)
    if args.int8:
        contenders["vedette, INT8"] = lambda: agent(1, model=args.int8, provider="auto")
    if args.openvino:
        contenders["vedette, auto"] = lambda: agent(1, provider="auto")
        for hint, precision in (("f32", "fp32"), ("bf16", "bf16")) if read_cpu().bf16 else (("f32", "fp32"),):
            contenders[f"bare, OpenVINO {precision}"] = partial(
                script,
                sys.executable,
                "bare_openvino",
                model,
                json.dumps(args.shape),
                seconds,
                args.threads,
                hint,
            )
            contenders[f"vedette, OpenVINO {precision}"] = partial(
                agent, 1, model=args.uint8 or model, provider="openvino", precision=precision
            )
    for count in args.cameras:
        contenders[f"vedette, {count} cameras"] = partial(agent, count)
    size = json.dumps(args.shape[2:])
    contenders["OpenCV DNN"] = lambda: script(sys.executable, "opencv_dnn", model, video, seconds, size)
    if args.ultralytics_python:
        for kind, name in (("plain", "Ultralytics predict"), ("supervised", "Ultralytics, supervision")):
            contenders[name] = lambda kind=kind: script(  # type: ignore[misc]
                args.ultralytics_python, "ultralytics_predict", model, video, seconds, kind
            )
    if args.roboflow_python:
        contenders["Roboflow inference"] = lambda: script(
            args.roboflow_python, "roboflow_pipeline", model, video, seconds, size
        )
    return contenders


def script(python: str, name: str, *words: object) -> Outcome:
    began = time.time()
    process = subprocess.Popen(
        [python, str(SCRIPTS / f"{name}.py"), *map(str, words)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout and process.stdin and process.stderr
    line = next((line for line in process.stdout if line.startswith('{"ready"')), "")
    if not line:
        words_left = process.stderr.read().strip().splitlines()
        process.wait()
        raise RuntimeError(words_left[-1] if words_left else f"ended with {process.returncode}")
    peak = peak_mb(process.pid)
    process.communicate()
    told = json.loads(line)
    return Outcome(
        told["frames"] / told["seconds"], told["cpu"] / told["frames"] * 1000, peak, told["ready"] - began
    )


def outcome_of(told: Told, began: float) -> Outcome:
    return Outcome(
        told.frames / told.seconds, told.cpu / told.frames * 1000, told.peak_mb, told.ready - began
    )


def report(names: list[str], rounds: list[dict[str, Outcome]]) -> None:
    print(
        f"\n{date.today()}, {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()}\n"
    )
    print(
        "| contender | frames/s | speed, of bare | CPU s / 1,000 frames | CPU, of bare | peak memory MB | start s |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in names:
        mine = [done[name] for done in rounds if name in done]
        pairs = [(done[name], done[BARE]) for done in rounds if name in done and BARE in done]
        if not pairs:
            continue
        print(
            f"| {name} | {statistics.median(o.fps for o in mine):.1f} "
            f"| {spread([o.fps / bare.fps for o, bare in pairs])} "
            f"| {statistics.median(o.cpu_per_thousand for o in mine):.1f} "
            f"| {spread([o.cpu_per_thousand / bare.cpu_per_thousand for o, bare in pairs])} "
            f"| {statistics.median(o.peak_mb for o in mine):.0f} "
            f"| {statistics.median(o.start_seconds for o in mine):.1f} |"
        )
    for one, other in (
        ("vedette", "bare, abreast"),
        ("vedette", "vedette, no monitoring"),
        *(
            (one, other)
            for one in ("vedette", "vedette, prepared model", "vedette, INT8", "vedette, auto")
            for other in ("bare, abreast", "Ultralytics predict")
            if (one, other) != ("vedette", "bare, abreast")
        ),
        ("vedette, INT8", BARE),
        ("vedette, OpenVINO bf16", BARE),
        ("vedette, OpenVINO bf16", "bare, abreast"),
        ("vedette, OpenVINO bf16", "bare, OpenVINO bf16"),
        ("vedette, OpenVINO bf16", "Ultralytics predict"),
    ):
        pairs = [(done[one], done[other]) for done in rounds if one in done and other in done]
        if pairs:
            print(
                f"\n{one} to {other}: {spread([a.fps / b.fps for a, b in pairs])} frames/s, "
                f"{spread([a.cpu_per_thousand / b.cpu_per_thousand for a, b in pairs], 3)} CPU, "
                f"{spread([a.peak_mb / b.peak_mb for a, b in pairs])} memory"
            )


def spread(values: list[float], digits: int = 2) -> str:
    low, middle, high = (
        f"{value:.{digits}f}" for value in (min(values), statistics.median(values), max(values))
    )
    return f"{middle} ({low}-{high})"


def live(args: argparse.Namespace) -> int:
    print(
        "| cameras | frames/s each | analysed | dropped | latency p50 ms | p99 ms | p99 in frame periods "
        "| CPU, % of a core |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for words in args.live:
        cameras, fps = int(words.partition(":")[0]), float(words.partition(":")[2])
        told = run_agent(
            Run(model=args.model, video=args.video, seconds=args.seconds, cameras=cameras, max_fps=fps)
        )
        dropped = sum(body["frames_dropped"] for body in told.bodies)
        half, tail = (
            statistics.median(body[f"latency_{rank}_seconds"] for body in told.bodies)
            for rank in ("p50", "p99")
        )
        print(
            f"| {cameras} | {fps:g} | {told.frames / told.seconds / cameras:.2f} | {dropped} | {half * 1e3:.0f} "
            f"| {tail * 1e3:.0f} | {tail * fps:.2f} | {told.cpu / told.seconds * 100:.1f} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
