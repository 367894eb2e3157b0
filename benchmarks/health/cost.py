"""What a glance costs: CPU time of one thread for a frame of 1920x1080, of this tree and of others in turns.

python -m benchmarks.health.cost VIDEO [--against TREE ...] [--rounds 20]

Each tree has a process of its own, and only one of them works at a time; what else the box does slows all alike.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

GLANCES = 40  # a turn
WARM = 200  # glances in which the normal is learnt and the means fill up
FRAMES = 16


def work(video: str) -> None:
    """Answer each line of input with the CPU microseconds of GLANCES glances, after a warm-up."""
    import av
    import cv2

    from agent.cameras.health.inspector import Inspector
    from agent.core.types import Frame

    cv2.setNumThreads(1)
    images = []
    with av.open(video) as container:
        for index, picture in enumerate(container.decode(video=0)):
            if index % 8 == 0:
                images.append(cv2.resize(picture.to_ndarray(format="bgr24"), (1920, 1080)))
            if len(images) == FRAMES:
                break
    inspector, number = Inspector(by_media=False), 0

    def glance() -> int:
        nonlocal number
        number += 1
        at = 1_000_000_000_000 + number * 250_000_000
        frame = Frame(
            camera="a", index=number, image=images[number % FRAMES], captured_at=0.0, monotonic_ns=at
        )
        began = time.thread_time_ns()
        inspector.inspect(frame)
        return (time.thread_time_ns() - began) // 1000

    for _ in range(WARM):
        glance()
    print("ready", flush=True)
    for _ in sys.stdin:
        print(*(glance() for _ in range(GLANCES)), flush=True)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("video")
    parser.add_argument("--against", nargs="*", default=[], help="root folders of other checkouts")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.work:
        work(args.video)
        return 0
    trees = [str(Path(__file__).resolve().parents[2]), *args.against]
    workers = [
        subprocess.Popen(
            [sys.executable, __file__, args.video, "--work"],
            env={**os.environ, "PYTHONPATH": tree}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for tree in trees
    ]  # fmt: skip
    taken: list[list[int]] = [[] for _ in trees]
    for worker in workers:
        worker.stdout.readline()  # type: ignore[union-attr]  # it is a pipe
    for _ in range(args.rounds):
        for worker, one in zip(workers, taken, strict=True):
            worker.stdin.write("go\n")  # type: ignore[union-attr]  # it is a pipe
            worker.stdin.flush()  # type: ignore[union-attr]  # as above
            one += [int(each) for each in worker.stdout.readline().split()]  # type: ignore[union-attr]  # as above
    for worker in workers:
        worker.stdin.close()  # type: ignore[union-attr]  # as above
        worker.wait()
    least = [statistics.quantiles(one, n=10)[0] for one in taken]
    print("| tree | median, ms | tenth percentile, ms | of the first's |\n|---|---|---|---|")
    for tree, one, low in zip(trees, taken, least, strict=True):
        print(f"| {tree} | {statistics.median(one) / 1e3:.2f} | {low / 1e3:.2f} | {low / least[0]:.3f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
