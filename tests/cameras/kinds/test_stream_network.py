"""RTSP over networks and servers that misbehave: what is told, and that whole pictures are all that comes through."""

import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from agent.cameras import reader as reader_module
from agent.cameras.kinds import frame_wait
from agent.cameras.kinds.stream import StreamCamera
from agent.cameras.kinds.stream_options import StreamOptions
from agent.core.types import CameraState

sys.path.append(str(Path(__file__).resolve().parents[2] / "servers"))

from feeding import FeedCamera
from proxy import Proxy


@pytest.fixture
def proxied(rtsp):
    """`proxied(mode, ...)`: a live RTSP server behind a proxy."""
    made = []

    def make(mode="pass", pattern="live", **options):
        made.append(Proxy(rtsp(pattern).port, mode, **options))
        made[-1].start()
        return made[-1]

    yield make
    for proxy in made:
        proxy.close()


def camera(proxy, **options):
    return StreamCamera("front", StreamOptions(url=f"rtsp://127.0.0.1:{proxy.port}/live", **options))


@pytest.fixture
def quick(monkeypatch):
    """No waits between tries."""
    monkeypatch.setattr(reader_module, "after_failure", lambda state, *_: (state, 0.0))
    monkeypatch.setattr(reader_module, "WATCH_SECONDS", 0.02)


def is_sound(image):
    """The test picture is a white ball on black: damage shows as grey."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    between = np.count_nonzero((grey > 60) & (grey < 180)) / grey.size
    return between < 0.02 and 0.01 < np.count_nonzero(grey > 180) / grey.size < 0.2


class Failed:
    """Counts the damaged frames of a running reader."""

    def __init__(self, run):
        self._run, self._total = run, 0

    def total(self):
        self._total += self._run.reader.take_counts().failed
        return self._total


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_lost_packets_leave_pictures_out_and_spoil_none(rtsp, running, transport):
    source = StreamCamera("front", StreamOptions(url=rtsp("lossy").url, transport=transport))
    with running(source) as run:
        failed = Failed(run)
        run.until(lambda: failed.total() > 0 and len(run.frames) > 20)
    assert all(is_sound(frame.image) for frame in run.frames)


def test_damaged_packets_leave_pictures_out_and_the_camera_goes_on(proxied, running):
    with running(camera(proxied("damage", every=4_000))) as run:
        failed = Failed(run)
        run.until(lambda: failed.total() > 0 and len(run.frames) > 10)


def test_a_server_that_accepts_and_says_nothing_is_a_timeout_and_then_comes(proxied, running, quick):
    proxy = proxied("hold")
    with running(camera(proxy, timeout=1)) as run:
        down = run.wait(CameraState.DOWN)
        assert run.statuses[down].failure == "timeout"
        proxy.mode = "pass"
        proxy.cut()
        run.wait(CameraState.ONLINE, after=down, timeout=15)


def test_a_stream_that_falls_silent_is_a_timeout_not_a_broken_codec(proxied, running, monkeypatch):
    """FFmpeg hands over half a packet at the end of its wait; that must not count as unreadable video."""
    monkeypatch.setattr(frame_wait, "BARREN_SECONDS", 1.0)
    proxy = proxied()
    with running(camera(proxy, timeout=2), stall_timeout=30) as run:
        run.wait(CameraState.ONLINE)
        run.until_frames(5)
        proxy.mode = "hold"
        held, count = time.monotonic(), len(run.frames)
        down = run.wait(CameraState.DOWN, timeout=20)
    assert run.statuses[down].failure == "timeout"
    late = [frame for frame in run.frames[count:] if frame.monotonic_ns / 1e9 > held + 1.5]
    assert not late, "no picture that FFmpeg held back is taken for a fresh one"


def test_a_size_that_changes_in_the_running_stream_is_taken_as_it_is(_rtsp_here, free_port, running):
    def pictures():
        for index in range(10_000):
            width, height = (160, 96) if index < 40 else (256, 144)
            yield np.full((height, width, 3), 60 + index % 100, np.uint8)

    source = FeedCamera(free_port(), pictures(), 20)
    source.start()
    try:
        with running(StreamCamera("front", StreamOptions(url=source.url))) as run:
            shapes = {(96, 160, 3), (144, 256, 3)}
            run.until(lambda: {frame.image.shape for frame in run.frames} >= shapes)
        assert run.reader.take_counts().reconnects == 0
    finally:
        source.close()


def test_a_dozen_reconnects_of_rtsp_leave_nothing_behind(proxied, running, quick):
    proxy, process = proxied(), psutil.Process()
    with running(camera(proxy)) as run:
        mark, marks = 0, []
        for _ in range(12):
            mark = run.wait(CameraState.ONLINE, after=mark, timeout=20) + 1
            marks.append((process.num_fds(), threading.active_count()))
            proxy.cut()
    assert abs(marks[-1][0] - marks[2][0]) <= 8
    assert abs(marks[-1][1] - marks[2][1]) <= 6
