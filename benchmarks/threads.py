"""How many threads and lanes the model should have while cameras are decoded beside it: rounds in turn, ratios within one.

    python benchmarks/threads.py MODEL.onnx VIDEO [--shares 1x1 2x1 2x2 3x2] [--cameras 1 4] [--rounds 3] [--seconds 10]

A share `3x2` is three threads in two lanes.

The cameras play the video in real time, every frame of it is decoded, and the model takes what it can (latest frame
wins). Frames analysed a second in all, to those of the first share; CPU time a frame
analysed is of the whole process, so it holds the decoding of the frames that were left out.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from contenders.agent_run import Run, Told, run_agent


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=lambda text: str(Path(text).resolve()))
    parser.add_argument("video", type=lambda text: str(Path(text).resolve()))
    parser.add_argument("--shares", nargs="+", default=["2x1", "1x1", "2x2", "3x2"])
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    args = parser.parse_args()
    print(
        f"| cameras | threads, lanes | frames/s analysed | to {args.shares[0]} | CPU s / 1,000 | latency p50 ms | p99 ms |"
    )
    print("|---|---|---|---|---|---|---|")
    for cameras in args.cameras:
        rounds: dict[str, list[Told]] = {share: [] for share in args.shares}
        for number in range(args.rounds):
            shift = number % len(args.shares)
            for share in args.shares[shift:] + args.shares[:shift]:
                threads, lanes = share.split("x")
                run = Run(
                    model=args.model, video=args.video, seconds=args.seconds, cameras=cameras, max_fps=1000.0,
                    options=(f"threads = {threads}", f"lanes = {lanes}"),
                )  # fmt: skip
                rounds[share].append(run_agent(run))
        for share, told in rounds.items():
            ratios = [
                rate(one) / rate(other) for one, other in zip(told, rounds[args.shares[0]], strict=True)
            ]
            halves = [body["latency_p50_seconds"] for one in told for body in one.bodies]
            tails = [body["latency_p99_seconds"] for one in told for body in one.bodies]
            print(
                f"| {cameras} | {share} | {statistics.median(map(rate, told)):.1f} "
                f"| {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) "
                f"| {statistics.median(one.cpu / one.frames * 1e3 for one in told):.1f} "
                f"| {statistics.median(halves) * 1e3:.0f} | {statistics.median(tails) * 1e3:.0f} |",
                flush=True,
            )


def rate(told: Told) -> float:
    return told.frames / told.seconds


if __name__ == "__main__":
    main()
