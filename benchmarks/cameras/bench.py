"""What these benchmarks share: a reader that is watched, servers, and what a process holds."""

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from agent.cameras.kinds.stream import StreamCamera
from agent.cameras.kinds.stream_options import StreamOptions
from agent.cameras.reader import Reader
from agent.config.schema import CameraSettings
from agent.core.frame_slots import FrameSlots
from agent.core.secret import Masked
from agent.core.types import CameraStatus

ROOT = Path(__file__).resolve().parents[2]
SERVERS = ROOT / "tests" / "servers"
sys.path.append(str(SERVERS))

from feeding import FAULTS, FeedCamera  # noqa: E402  (found by the line above)
from proxy import Proxy  # noqa: E402  (as above)

__all__ = [
    "FAULTS",
    "FeedCamera",
    "Proxy",
    "RtspServer",
    "Told",
    "Watched",
    "free_port",
    "held",
    "rtsp",
    "stream",
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def stream(url: str, **options: Any) -> StreamCamera:
    return StreamCamera("bench", StreamOptions(url=Masked(str(url)), **options))


@dataclass(frozen=True)
class Told:
    """A state as it was told, when (monotonic seconds), and its place among all."""

    state: str
    failure: str
    reason: str
    at: float
    place: int


class Watched:
    """A camera's reader in a thread, a consumer that takes its frames, and all that it told."""

    def __init__(self, camera: Any, name: str = "bench", **settings: Any) -> None:
        self.told: list[Told] = []
        self.arrivals: list[float] = []
        self.shapes: set[tuple[int, ...]] = set()
        self.slots = FrameSlots()
        self._change = threading.Condition()
        self._stop = threading.Event()
        self.reader = Reader(camera, CameraSettings(name=name, **settings), self.slots, self._tell)
        self._threads = [
            threading.Thread(target=self.reader.run, args=(self._stop,), daemon=True),
            threading.Thread(target=self._take, daemon=True),
        ]

    def __enter__(self) -> "Watched":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(5)

    def _tell(self, status: CameraStatus) -> None:
        with self._change:
            now = time.monotonic()
            self.told.append(Told(status.state.value, status.failure, status.reason, now, len(self.told)))
            self._change.notify_all()

    def _take(self) -> None:
        while not self._stop.is_set():
            for frame in self.slots.take(1, timeout=0.05):
                self.arrivals.append(time.monotonic())
                self.shapes.add(frame.image.shape)

    def wait(self, state: str, *, after: int = 0, timeout: float = 30.0) -> Told | None:
        """The first time `state` is told from place `after` on; None if that takes too long."""

        def found() -> Told | None:
            return next((told for told in self.told[after:] if told.state == state), None)

        with self._change:
            self._change.wait_for(lambda: found() is not None, timeout)
        return found()


class RtspServer:
    """GStreamer's RTSP server in a process that can be killed, stopped and started again on its port."""

    def __init__(self, pattern: str = "live", *login: str) -> None:
        self.port, self.pattern, self.login = free_port(), pattern, login
        self.url = f"rtsp://127.0.0.1:{self.port}/live"
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self, pattern: str | None = None) -> None:
        """Start it (again), perhaps with another pattern."""
        command = [
            "/usr/bin/python3",
            str(SERVERS / "rtsp.py"),
            str(self.port),
            pattern or self.pattern,
            *self.login,
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextlib.contextmanager
def rtsp(pattern: str = "live", *login: str) -> Iterator[RtspServer]:
    server = RtspServer(pattern, *login)
    try:
        yield server
    finally:
        server.kill()


def held() -> tuple[int, int, float]:
    """Open handles, threads and resident megabytes of this process."""
    process = psutil.Process()
    return (
        len(list(Path("/proc/self/fd").iterdir())),
        threading.active_count(),
        process.memory_info().rss / 1e6,
    )
