"""How many threads the model should have while cameras are decoded beside it: rounds in turn, ratios within a round.

    python benchmarks/threads.py MODEL.onnx VIDEO [--threads 1 2 3] [--cameras 1 4] [--rounds 3] [--seconds 10]

The cameras play the video in real time, every frame of it is decoded, and the model takes what it can (latest frame
wins). Frames analysed a second in all, to those with as many threads as there are cores; CPU time a frame
analysed is of the whole process, so it holds the decoding of the frames that were left out.
"""

from __future__ import annotations

import argparse
import os
import statistics
from pathlib import Path

from contenders.agent_run import Run, Told, run_agent


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=lambda text: str(Path(text).resolve()))
    parser.add_argument("video", type=lambda text: str(Path(text).resolve()))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    args = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    print("| cameras | threads | frames/s analysed | to one thread a core | CPU s / 1,000 | latency p99 ms |")
    print("|---|---|---|---|---|---|")
    for cameras in args.cameras:
        rounds: dict[int, list[Told]] = {threads: [] for threads in args.threads}
        for number in range(args.rounds):
            shift = number % len(args.threads)
            for threads in args.threads[shift:] + args.threads[:shift]:
                run = Run(
                    model=args.model, video=args.video, seconds=args.seconds, cameras=cameras, max_fps=1000.0,
                    options=(f"threads = {threads}",),
                )  # fmt: skip
                rounds[threads].append(run_agent(run))
        for threads, told in rounds.items():
            usual = rounds.get(cores, told)
            ratios = [rate(one) / rate(other) for one, other in zip(told, usual, strict=True)]
            tails = [body["latency_p99_seconds"] for one in told for body in one.bodies]
            print(
                f"| {cameras} | {threads} | {statistics.median(map(rate, told)):.1f} "
                f"| {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) "
                f"| {statistics.median(one.cpu / one.frames * 1e3 for one in told):.1f} "
                f"| {statistics.median(tails) * 1e3:.0f} |",
                flush=True,
            )


def rate(told: Told) -> float:
    return told.frames / told.seconds


if __name__ == "__main__":
    main()
