"""Whole-agent throughput beside the bare model, Ultralytics and OpenCV: one run, interleaved rounds, ratios.

    python benchmarks/pipeline.py --model yolo11n.onnx --video car-detection.mp4 \
        --ultralytics-python /path/to/venv/bin/python --rounds 3 --seconds 15

Each contender runs in a process of its own, for `--seconds` a round after its warm-up, on the same model file,
video and cores; rounds are interleaved so that a busy spell of the machine hits all. Memory is the process's
peak resident set. The agent publishes to a real broker all the while, and is measured by what it published.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]

# Each prints one JSON line {"frames": n, "seconds": s, "cpu": s} and stays alive until its input is closed.
BARE = """
import json, sys, time, resource, numpy as np, onnxruntime as ort
model, shape, seconds = sys.argv[1], json.loads(sys.argv[2]), float(sys.argv[3])
session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
feed = {session.get_inputs()[0].name: np.random.default_rng(0).random(shape, dtype=np.float32)}
for _ in range(5): session.run(None, feed)
cpu = time.process_time(); start = time.perf_counter(); frames = 0
while time.perf_counter() - start < seconds: session.run(None, feed); frames += shape[0]
print(json.dumps({"frames": frames, "seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}), flush=True)
sys.stdin.read()
"""

ULTRALYTICS = """
import json, sys, time, itertools, os
os.environ["YOLO_VERBOSE"] = "false"; os.environ["YOLO_AUTOINSTALL"] = "false"
from ultralytics import YOLO
model, video, seconds = YOLO(sys.argv[1], task="detect"), sys.argv[2], float(sys.argv[3])
def results():
    while True: yield from model.predict(video, stream=True, verbose=False)
stream = results()
for _ in itertools.islice(stream, 5): pass
cpu = time.process_time(); start = time.perf_counter(); frames = 0
while time.perf_counter() - start < seconds: next(stream); frames += 1
print(json.dumps({"frames": frames, "seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}), flush=True)
sys.stdin.read()
"""

OPENCV = """
import json, sys, time, cv2
model, video, seconds, size = sys.argv[1], sys.argv[2], float(sys.argv[3]), json.loads(sys.argv[4])
net = cv2.dnn.readNetFromONNX(model); capture = cv2.VideoCapture(video)
def step():
    good, frame = capture.read()
    if not good: capture.set(cv2.CAP_PROP_POS_FRAMES, 0); good, frame = capture.read()
    net.setInput(cv2.dnn.blobFromImage(frame, 1 / 255, (size[1], size[0]), swapRB=True)); net.forward()
for _ in range(5): step()
cpu = time.process_time(); start = time.perf_counter(); frames = 0
while time.perf_counter() - start < seconds: step(); frames += 1
print(json.dumps({"frames": frames, "seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}), flush=True)
sys.stdin.read()
"""


@dataclass
class Outcome:
    """One round of one contender."""

    fps: float
    cpu_per_thousand: float
    peak_mb: float
    start_seconds: float


def main() -> int:
    args = arguments()
    contenders = {
        "bare session.run": lambda: script(
            sys.executable, BARE, args.model, json.dumps(args.shape), args.seconds
        ),
        "vedette": lambda: agent(args, 1, monitoring=True),
        "vedette, no drift": lambda: agent(args, 1, monitoring=False),
        "OpenCV DNN": lambda: script(
            sys.executable, OPENCV, args.model, args.video, args.seconds, json.dumps(args.shape[2:])
        ),
    }
    if args.ultralytics_python:
        contenders["Ultralytics predict"] = lambda: script(
            args.ultralytics_python, ULTRALYTICS, args.model, args.video, args.seconds
        )
    for count in args.cameras:
        contenders[f"vedette, {count} cameras"] = lambda count=count: agent(args, count, monitoring=True)
    outcomes: dict[str, list[Outcome]] = {name: [] for name in contenders}
    for round_number in range(args.rounds):
        for name, contend in contenders.items():
            try:
                outcome = contend()
            except RuntimeError as error:
                print(f"round {round_number + 1}  {name:<22} left out: {error}", flush=True)
                continue
            outcomes[name].append(outcome)
            print(f"round {round_number + 1}  {name:<22} {outcome.fps:7.2f} frames/s", flush=True)
    report(outcomes)
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True)
    parser.add_argument("--video", required=True)
    parser.add_argument("--shape", type=json.loads, default=[1, 3, 384, 640], help="input of the bare loop")
    parser.add_argument("--ultralytics-python", help="an interpreter that has ultralytics and onnxruntime")
    parser.add_argument("--cameras", type=int, nargs="*", default=[], help="also with so many cameras")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15.0)
    return parser.parse_args()


def script(python: str, text: str, *words: object) -> Outcome:
    started = time.perf_counter()
    process = subprocess.Popen(
        [python, "-c", text, *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout and process.stdin
    lines = iter(process.stdout.readline, "")
    line = next((line for line in lines if line.startswith('{"frames"')), "")
    if not line:
        process.wait()
        raise RuntimeError(f"ended with {process.returncode}")
    elapsed = time.perf_counter() - started
    peak = peak_mb(process.pid)
    process.stdin.close()
    process.wait()
    told = json.loads(line)
    return Outcome(
        told["frames"] / told["seconds"], told["cpu"] / told["frames"] * 1000, peak, elapsed - told["seconds"]
    )


def agent(args: argparse.Namespace, cameras: int, *, monitoring: bool) -> Outcome:
    from agent.dashboard.subscriber import Subscriber
    from agent.demo.broker import DemoBroker

    window = 5.0
    with DemoBroker() as broker, tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "v.toml"
        config.write_text(agent_config(args, broker.url, folder, cameras, window, monitoring))
        started = time.perf_counter()
        with Subscriber(broker.url) as subscriber:
            process = psutil.Popen(
                [sys.executable, "-m", "agent", "run", "--config", str(config), "--log-level", "error"],
                cwd=ROOT,
            )
            try:
                return listen(subscriber, process, args.seconds, started, cameras)
            finally:
                process.terminate()
                process.wait(20)


def agent_config(
    args: argparse.Namespace, url: str, folder: str, cameras: int, window: float, monitoring: bool
) -> str:
    lines = [
        f'state_directory = "{folder}"', f'[broker]\nurl = "{url}"', f'[model]\npath = "{args.model}"',
        f"[windows]\nlength = {window}", f"[drift]\nenabled = {str(monitoring).lower()}",
    ]  # fmt: skip
    lines += [
        f'[[cameras]]\nname = "c{index}"\nurl = "{args.video}"\nloop = true\npace = "fast"'
        for index in range(cameras)
    ]
    return "\n".join(lines)


def listen(subscriber, process, seconds: float, started: float, cameras: int) -> Outcome:  # type: ignore[no-untyped-def]
    frames, span, first, cpu, ready = 0, 0.0, None, 0.0, 0.0
    while span < seconds * cameras:
        topic, payload = subscriber.messages.get(timeout=60)
        body = json.loads(payload) if "/camera/" in topic else {}
        if not body.get("frames_inferred"):
            continue
        if first is None or body["start"] == first:  # the first window holds the start
            first, ready = body["start"], ready or time.perf_counter() - started
            cpu = sum(process.cpu_times()[:2])
            continue
        frames += body["frames_inferred"]
        span += unix(body["end"]) - unix(body["start"])
    used = sum(process.cpu_times()[:2]) - cpu
    return Outcome(frames / (span / cameras), used / frames * 1000, peak_mb(process.pid), ready)


def unix(value: float | str) -> float:
    from agent.delivery.messages import unix_time

    return unix_time(value) if isinstance(value, str) else value


def peak_mb(pid: int) -> float:
    """Peak resident set of a process and of the children it has just now, in MB."""
    pids = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    text = "".join(Path(f"/proc/{each}/status").read_text() for each in pids)
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmHWM")) / 1024


def report(outcomes: dict[str, list[Outcome]]) -> None:
    bare = statistics.median(o.fps for o in outcomes["bare session.run"])
    print(
        f"\n{date.today()}, {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n"
    )
    print("| contender | frames/s: median (range) | of bare | CPU s / 1,000 frames | peak memory MB |")
    print("|---|---|---|---|---|")
    for name, rounds in outcomes.items():
        if not rounds:
            continue
        rates = [o.fps for o in rounds]
        print(
            f"| {name} | {statistics.median(rates):.2f} ({min(rates):.2f}-{max(rates):.2f}) "
            f"| {statistics.median(rates) / bare:.2f} "
            f"| {statistics.median(o.cpu_per_thousand for o in rounds):.1f} "
            f"| {statistics.median(o.peak_mb for o in rounds):.0f} |"
        )


if __name__ == "__main__":
    sys.exit(main())
