"""What it costs to read a camera in a process of its own, and what a crash of its decoder costs either way.

python -m benchmarks.cameras isolation ../shared/videos/car-detection.mp4
"""

import argparse
import ctypes
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from agent.cameras.isolation.isolated import IsolatedCamera
from agent.cameras.kinds.gstreamer import GStreamerCamera, GStreamerOptions
from agent.cameras.kinds.stream import StreamCamera
from agent.cameras.kinds.stream_options import StreamOptions
from agent.core.secret import Masked
from benchmarks.cameras.agent import Running, gaps, table
from benchmarks.cameras.bench import ROOT

SECONDS = 6.0


def makers(video: Path) -> dict[str, Callable[[], Any]]:
    options = StreamOptions(url=Masked(str(video)), loop=True, threads=1)
    # The video as GStreamer decodes it on a processor; on a Jetson nvv4l2decoder stands there.
    pipeline = f"multifilesrc location={video} loop=true ! h264parse ! openh264dec ! identity sync=true"
    return {
        "in the agent": lambda: StreamCamera("bench", options),
        "in a process of its own": lambda: IsolatedCamera("stream", "bench", options),
        "GStreamer (openh264)": lambda: GStreamerCamera("bench", GStreamerOptions(pipeline=Masked(pipeline))),
    }


def cpu(process: psutil.Process) -> float:
    """CPU seconds of a process and its children, living and reaped."""
    children = [sum(child.cpu_times()[:2]) for child in process.children(recursive=True)]
    return float(sum(process.cpu_times()[:4])) + sum(children)


def memory(process: psutil.Process) -> float:
    """Megabytes that a process and its children do not share with others."""
    return float(sum(p.memory_full_info().pss for p in [process, *process.children(recursive=True)])) / 1e6


def played(make: Callable[[], Any], seconds: float) -> Iterator[float]:
    """CPU ms a frame, frames/s, megabytes, and ms from capture to here, of a camera played for `seconds`."""
    process = psutil.Process()
    camera = make()
    camera.open()
    for _ in range(10):
        camera.read()
    began, spent, ages, count = time.monotonic(), cpu(process), [], 0
    while time.monotonic() - began < seconds:
        frame = camera.read()
        ages.append((time.monotonic_ns() - frame.monotonic_ns) / 1e6)
        count += 1
    took, spent = time.monotonic() - began, cpu(process) - spent
    held = memory(process)
    camera.close()
    yield from (spent / count * 1000, count / took, held, statistics.median(ages))


def costs(video: Path, rounds: int) -> None:
    print(
        "| video | decoded | CPU ms a frame: median (range) | frames/s | MB, all processes | hand-over ms (p50) |"
    )
    print("|---|---|---|---|---|---|")
    for size, fps in (("768x432", 12.5), ("1920x1080", 25)):
        with tempfile.TemporaryDirectory() as folder:
            clip = Path(folder) / "clip.mp4"
            command = (
                f"ffmpeg -v error -i {video} -t 6 -vf scale={size.replace('x', ':')} -r {fps} -an -c:v libx264 -bf 0 "
                f"-preset veryfast -g 25 {clip}"
            )
            subprocess.run(command.split(), check=True)
            raw = clip.with_suffix(".h264")
            subprocess.run(f"ffmpeg -v error -i {clip} -c copy {raw}".split(), check=True)
            figures: dict[str, list[tuple[float, ...]]] = {}
            for _ in range(rounds):
                for name, make in makers(clip).items():
                    made = makers(raw)[name] if name.startswith("GStreamer") else make
                    figures.setdefault(name, []).append(tuple(played(made, SECONDS)))
            for name, rows in figures.items():
                each = list(zip(*rows, strict=True))
                spent = f"{statistics.median(each[0]):.1f} ({min(each[0]):.1f}-{max(each[0]):.1f})"
                others = " | ".join(f"{statistics.median(values):.1f}" for values in each[1:])
                print(f"| {size} at {fps:g} | {name} | {spent} | {others} |", flush=True)


def crash_apart(video: Path) -> None:
    """SIGSEGV in the process that decodes one camera; the gap on the other one."""
    cameras = table("other", url=str(video), loop=True) + table(
        "sick", url=str(video), loop=True, isolate="always"
    )
    with Running(cameras) as running:
        time.sleep(8)
        for _ in range(3):
            running.clear()
            os.kill(running.service.camera_set.camera("sick").pid, signal.SIGSEGV)
            began = time.monotonic()
            time.sleep(10)
            back = next((at - began for at in running.frames["sick"] if at > began + 0.5), float("nan"))
            longest = max(gaps(running.frames["other"])) * 1000
            print(f"| process of its own | {longest:.0f} ms | {back:.1f} s |", flush=True)


def crash_inside(video: Path, restart_seconds: float) -> None:
    """SIGSEGV in the thread of one camera in the agent, which is started again as systemd would."""
    with tempfile.TemporaryDirectory() as folder:
        cameras = "".join(table(name, url=str(video), loop=True) for name in ("other", "sick"))
        file, journal = Path(folder) / "v.toml", Path(folder) / "journal"
        file.write_text(
            f'state_directory = "{folder}/state"\n[broker]\nurl = "mqtt://127.0.0.1:9"\n{cameras}'
        )

        def run() -> subprocess.Popen[bytes]:
            with journal.open("w") as out:
                command = [sys.executable, "-m", "agent", "run", "--config", str(file)]
                return subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out)

        def until(text: str, count: int = 1) -> float:
            while journal.read_text().count(text) < count:
                time.sleep(0.02)
            return time.monotonic()

        agent = run()
        until("camera is online", 2)
        tasks = Path(f"/proc/{agent.pid}/task").iterdir()
        thread = next(task.name for task in tasks if (task / "comm").read_text() == "cam-sick\n")
        began = time.monotonic()
        ctypes.CDLL(None).tgkill(agent.pid, int(thread), signal.SIGSEGV)
        agent.wait()
        time.sleep(restart_seconds)
        agent = run()
        other = until("camera is online") - began
        sick = until("camera is online", 2) - began
        print(
            f"| the agent, once (RestartSec={restart_seconds:g}) | {other * 1000:.0f} ms | {sick:.1f} s |",
            flush=True,
        )
        agent.terminate()
        agent.wait()


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--rounds", type=int, default=3, help="of the costs; 0: the crashes alone")
    args = parser.parse_args(argv)
    video = args.video.resolve()
    if args.rounds:
        costs(video, args.rounds)
    print(
        "\n| a decoder crashes in | longest gap on another camera | that camera is back after |\n|---|---|---|"
    )
    crash_inside(video, 5.0)
    crash_apart(video)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
