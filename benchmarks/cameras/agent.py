"""The whole agent: the gap that a reload makes on the other cameras, and what dead cameras cost the living.

    python -m benchmarks.cameras agent ../shared/videos/car-detection.mp4

The agent runs in this process with the small model that ships and no broker; a camera's frames are counted as
they are handed over to the model, and its results as they come out.
"""

import argparse
import collections
import itertools
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from agent.app.kinds import KINDS
from agent.app.service import Service
from agent.config.load import load
from benchmarks.cameras.bench import free_port, rtsp


class Running:
    """A service on the config text `cameras`, with the times of frames and results by camera."""

    def __init__(self, cameras: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.file = Path(self._folder.name) / "v.toml"
        self.frames: dict[str, list[float]] = collections.defaultdict(list)
        self.results: dict[str, list[float]] = collections.defaultdict(list)
        self.write(cameras)
        self.service = Service(load(self.file, KINDS), load=lambda: load(self.file, KINDS))

    def __enter__(self) -> "Running":
        service = self.service
        service.open()
        put, deliver = service.slots.put, service.analyst.deliver

        def counted(frame: Any) -> None:
            self.frames[frame.camera].append(time.monotonic())
            put(frame)

        def delivered(result: Any) -> None:
            self.results[result.frame.camera].append(time.monotonic())
            deliver(result)

        service.slots.put, service.analyst.deliver = counted, delivered  # type: ignore[method-assign]
        service.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.service.stop()
        self._folder.cleanup()

    def write(self, cameras: str) -> None:
        """Put another text into the config file."""
        head = f'state_directory = "{self._folder.name}/state"\n[broker]\nurl = "mqtt://127.0.0.1:9"\n'
        self.file.write_text(head + cameras)

    def clear(self) -> None:
        """Count from now on."""
        self.frames.clear()
        self.results.clear()


def table(name: str, **keys: Any) -> str:
    values = {key: f'"{v}"' if isinstance(v, str) else str(v).lower() for key, v in keys.items()}
    return f'[[cameras]]\nname = "{name}"\n' + "".join(f"{key} = {value}\n" for key, value in values.items())


def gaps(times: list[float]) -> list[float]:
    return [b - a for a, b in itertools.pairwise(times)]


def told(what: str, running: Running, names: list[str]) -> None:
    """A row: how long the longest gap was between frames, and between results, of `names`."""
    frames = [gap for name in names for gap in gaps(running.frames[name])]
    results = [gap for name in names for gap in gaps(running.results[name])]
    p99 = statistics.quantiles(frames, n=100)[98]
    print(
        f"| {what} | {len(frames)} | {statistics.median(frames) * 1000:.0f} | {p99 * 1000:.0f} "
        f"| {max(frames) * 1000:.0f} | {max(results) * 1000:.0f} |",
        flush=True,
    )


def reloads(video: Path, rounds: int) -> None:
    """Add, change and remove a camera by reload while three others run."""
    names = ["one", "two", "three"]
    base = "".join(table(name, url=str(video), loop=True) for name in names)
    print("| others, while | frames | gap p50 ms | p99 ms | longest ms | longest between results ms |")
    print("|---|---|---|---|---|---|")
    with rtsp() as server, Running(base) as running:
        changed = [
            ("an RTSP camera is added, changed, removed", [
                table("four", url=server.url), table("four", url=server.url, max_fps=5), "",
            ]),
            ("a dead camera is added, changed, removed", [
                table("four", url=f"rtsp://127.0.0.1:{free_port()}/x"),
                table("four", url="rtsp://camera.invalid/x"), "",
            ]),
            ("a camera read apart is added, changed, removed", [
                table("four", url=str(video), loop=True, isolate="always"),
                table("four", url=str(video), loop=True, isolate="always", max_fps=5), "",
            ]),
        ]  # fmt: skip
        time.sleep(8)
        for _ in range(rounds):
            for what, steps in [("nothing happens", [base[:0]] * 3), *changed]:
                running.clear()
                for step in steps:
                    running.write(base + step)
                    if what != "nothing happens":
                        running.service.reloader.request().wait()
                    time.sleep(3)
                told(what, running, names)


def dead(folder: Path) -> list[str]:
    """Eight cameras that give nothing, each for another reason."""
    import socket

    hung = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=lambda: [hung.accept() for _ in iter(int, 1)], daemon=True).start()
    (folder / "text.mp4").write_text("this is no video\n" * 1000)
    return [
        table("refuses", url=f"rtsp://127.0.0.1:{free_port()}/x"),
        table("hangs", url=f"rtsp://127.0.0.1:{hung.getsockname()[1]}/x"),
        table("hangs-http", url=f"http://127.0.0.1:{hung.getsockname()[1]}/x"),
        table("nowhere", url="rtsp://camera.invalid/x"),
        table("no-file", url="/nowhere/a.mp4"),
        table("no-video", url=str(folder / "text.mp4"), loop=True),
        table("no-device", kind="v4l2", device="/dev/video97"),
        table("no-element", kind="gstreamer", pipeline="nonsense ! decodebin"),
    ]


def among_the_dead(video: Path, seconds: float, rounds: int) -> None:
    """Eight living cameras, alone and beside eight dead ones, in turns."""
    names = [f"live{index}" for index in range(8)]
    living = "".join(table(name, url=str(video), loop=True, max_fps=5) for name in names)
    print("\n| 8 living cameras | frames/s of one: median (least - most) | longest gap ms | CPU s a second |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        corpses = "".join(dead(Path(folder)))
        for _ in range(rounds):
            for what, text in (("alone", living), ("beside 8 dead ones", living + corpses)):
                with Running(text) as running:
                    time.sleep(6)
                    running.clear()
                    spent = sum(psutil.Process().cpu_times()[:4])
                    time.sleep(seconds)
                    spent = sum(psutil.Process().cpu_times()[:4]) - spent
                    rates = sorted(len(running.frames[name]) / seconds for name in names)
                    longest = max(gap for name in names for gap in gaps(running.frames[name]))
                print(
                    f"| {what} | {statistics.median(rates):.2f} ({rates[0]:.2f} - {rates[-1]:.2f}) "
                    f"| {longest * 1000:.0f} | {spent / seconds:.2f} |",
                    flush=True,
                )


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=30.0)
    args = parser.parse_args(argv)
    video = args.video.resolve()
    reloads(video, args.rounds)
    among_the_dead(video, args.seconds, args.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
