"""Everything that is to be known of the agent on a real GPU, in one go, on a bare machine without a network.

    python benchmarks/gpu.py --model yolo11n.onnx [--variant yolo11n-fp16.onnx ...] --videos car-detection.mp4 ...
                             [--out DIR] [--quick] [--budget 480] [--parts nvml boxes ...] [--provider cpu] [--plan]

It needs Python with numpy, OpenCV, ONNX Runtime and what the agent itself needs (av, datasketches, structlog, paho-mqtt,
nvidia-ml-py, psutil); no broker: the agent's messages wait on disk. Without a GPU everything runs on the CPU, from
the first line to the last, and shows only that it runs (`--quick`: in under four minutes on two cores).

Each step is a process of its own with its own time limit, within `--budget` seconds in all; what fails, hangs or
crashes is noted, and the next one begins. Figures are printed as they come, and after each step DIR has all of them in
gpu.json and as tables in gpu.md (DIR: --out, else $OUT, else gpu-results). `--plan` prints the steps and ends.

The bare loop (`session.run` with I/O binding, host to device and back, decoding nothing) runs beside the agent in
each round, and ratios are taken within a round. Start with `libraries`: what `ldd` finds missing ends all else.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
from pathlib import Path
from typing import Any

from gpu_parts.report import write
from gpu_parts.steps import Step, run_steps

HERE = Path(__file__).resolve().parent
PARTS = ("libraries", "nvml", "boxes", "session", "whole", "graphs", "letterbox", "nvdec", "memory", "busy")
"""Most wanted first; the budget may end before the last."""


def main() -> int:
    """Plan, run, report."""
    arguments = parsed()
    steps = plan(arguments)
    if arguments.plan:
        print("\n".join(f"{step.part:10} {step.seconds:4.0f} s  {step.name}" for step in steps))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    machine = {"system": platform.platform(), "python": platform.python_version(), "quick": arguments.quick}
    results = run_steps(
        steps,
        budget=arguments.budget or (220 if arguments.quick else 480),
        environment=environment(),
        after=lambda known: write(arguments.out, machine, known),
    )
    print(f"\n{arguments.out / 'gpu.md'} and gpu.json: {len(results.rows)} rows of {len(results.ends)} steps")
    return 0 if all(end["end"] == "done" for end in results.ends) else 1


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", type=existing, required=True, help="the plain ONNX model, any batch and size"
    )
    parser.add_argument(
        "--variant",
        type=existing,
        nargs="+",
        default=[],
        dest="variants",
        help="prepared ones: fp16, for GPUs, ...",
    )
    parser.add_argument("--videos", type=existing, nargs="+", required=True, help="the first is the agent's")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", "gpu-results")))
    parser.add_argument("--provider", choices=("auto", "cuda", "cpu"), default="auto")
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=" ".join(PARTS)
    )
    parser.add_argument("--budget", type=float, help="seconds for all of it: 480, quick 220")
    parser.add_argument("--quick", action="store_true", help="as little as shows that every line runs")
    parser.add_argument("--plan", action="store_true", help="print the steps, run none")
    return parser.parse_args()


def existing(path: str) -> str:
    """Absolute: the steps run elsewhere."""
    if not Path(path).is_file():
        raise argparse.ArgumentTypeError(f"{path} is not there")
    return str(Path(path).resolve())


def plan(arguments: argparse.Namespace) -> list[Step]:
    """The steps in order; `quick` measures less of the same."""
    quick = arguments.quick
    common = {
        "model": arguments.model, "variants": arguments.variants, "video": arguments.videos[0],
        "videos": arguments.videos, "provider": arguments.provider,
        "batches": [1, 2] if quick else [1, 4, 8, 16], "rounds": 1 if quick else 5,
        "slice": 0.05 if quick else 0.2, "frames": 4 if quick else 32, "seconds": 2 if quick else 8,
    }  # fmt: skip
    few = {**common, "variants": []} if quick else common
    steps = {
        "libraries": [step("libraries", 45, common)],
        "nvml": [step("nvml", 45, common)],
        "boxes": [step("boxes", 75, common)],
        "session": [step("session", 120, common)],
        "whole": whole(arguments, common),
        "graphs": [step("graphs", 45, few)],
        "letterbox": [step("letterbox", 60, common)],
        "nvdec": [step("nvdec", 45, {**common, "rounds": 1 if quick else 2, "seconds": 1 if quick else 3})],
        "memory": [step("memory", 45, few)],
        "busy": [step("busy", 90, {**common, "seconds": 3 if quick else 8})],
    }
    return [one for part in PARTS if part in arguments.parts for one in steps[part]]


def whole(arguments: argparse.Namespace, common: dict[str, Any]) -> list[Step]:
    """Rounds of the bare loop and of the agent on so many cameras, each beginning with another one."""
    steps: list[Step] = []
    cameras = arguments.cameras[:2] if arguments.quick else arguments.cameras
    for turn in range(1 if arguments.quick else 2):
        about = {**common, "round": turn + 1}
        order = [
            step("bare", 40, {**about, "batches": [1] if arguments.quick else [1, 8]}, "whole"),
            *(step("whole", 45, {**about, "cameras": count}, note=f", {count} cameras") for count in cameras),
        ]
        steps += order[::-1] if turn % 2 else order
    steps.append(
        step("whole", 45, {**common, "round": 1, "cameras": cameras[-1], "decoder": "cuda", "suffix": ", NVDEC"},
             note=f', {cameras[-1]} cameras, decoder = "cuda"')
    )  # fmt: skip
    return steps


def step(module: str, seconds: float, about: dict[str, Any], part: str = "", note: str = "") -> Step:
    where = f", round {about['round']}" if "round" in about else ""
    command = (sys.executable, "-u", "-m", f"gpu_parts.{module}", json.dumps(about))
    return Step(name=f"{module}{note}{where}", part=part or module, command=command, seconds=seconds)


def environment() -> dict[str, str]:
    """The steps find the agent and each other; ONNX Runtime uploads nothing."""
    places = [str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places)), "ORT_DISABLE_TELEMETRY": "1"}


if __name__ == "__main__":
    sys.exit(main())
