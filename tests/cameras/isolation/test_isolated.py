"""A camera read in a process of its own: the same frames, the same failures, and its crash harms nobody."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from agent.cameras.isolation.isolated import IsolatedCamera
from agent.cameras.kinds.images import ImagesOptions
from agent.cameras.kinds.stream import StreamCamera
from agent.cameras.kinds.stream_options import StreamOptions
from agent.core.errors import CameraError, CameraFailure
from agent.core.types import CameraState
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]


def apart(url, **options):
    return IsolatedCamera("stream", "front", StreamOptions(url=str(url), **options))


def frames_of(camera):
    camera.open()
    frames = list(iter(camera.read, None))
    assert camera.read() is None
    camera.close()
    return frames


def test_it_gives_the_frames_that_its_kind_gives(video):
    path = video(frames=12)
    there = frames_of(apart(path, pace="fast"))
    here = frames_of(StreamCamera("front", StreamOptions(url=str(path), pace="fast")))
    assert [(f.index, f.media_seconds, f.camera) for f in there] == [
        (f.index, f.media_seconds, f.camera) for f in here
    ]
    assert all(np.array_equal(one.image, two.image) for one, two in zip(there, here, strict=True))
    assert not there[0].image.flags.writeable
    assert there[0].decode_seconds > 0
    now = time.monotonic_ns()
    assert now - 60e9 < there[0].monotonic_ns < there[-1].monotonic_ns < now


@pytest.mark.parametrize(
    ("content", "kind"), [(None, CameraFailure.NOT_FOUND), (b"no video", CameraFailure.CODEC)]
)
def test_its_failures_come_over_with_kind_and_words(tmp_path, content, kind):
    path = tmp_path / "x.mp4"
    if content:
        path.write_bytes(content)
    messages = []
    for camera in (apart(path), StreamCamera("front", StreamOptions(url=str(path)))):
        with pytest.raises(CameraError) as caught:
            camera.open()
        assert caught.value.kind is kind
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_damaged_pictures_are_counted_over_the_fence(tmp_path):
    (tmp_path / "1.jpg").write_bytes(b"\xff\xd8 cut off")
    import cv2

    cv2.imwrite(str(tmp_path / "2.png"), np.full((20, 20, 3), 9, np.uint8))
    camera = IsolatedCamera("images", "front", ImagesOptions(path=str(tmp_path), pace="fast"))
    assert (camera.lossless, camera.finite, camera.period) == (True, True, 1.0)
    assert len(frames_of(camera)) == 1
    assert camera.take_failed() == 1
    assert camera.take_failed() == 0


def test_a_crash_of_its_decoder_is_a_failure_and_it_comes_back(video, running):
    camera = apart(video(frames=40), loop=True)
    with running(camera) as run:
        run.wait(CameraState.ONLINE, timeout=20)
        crashed = camera.pid
        os.kill(crashed, signal.SIGSEGV)
        down = run.wait(CameraState.DOWN)
        assert run.statuses[down].failure == "crashed"
        assert "crashed (SIGSEGV)" in run.statuses[down].reason
        run.wait(CameraState.ONLINE, after=down, timeout=20)
        assert camera.pid != crashed
    assert not psutil.pid_exists(crashed)


def test_a_process_that_hangs_can_be_closed(video):
    camera = apart(video(), loop=True)
    camera.open()
    camera.read()
    pid = camera.pid
    os.kill(pid, signal.SIGSTOP)
    threading.Timer(0.3, camera.close).start()
    with pytest.raises(CameraError):
        while True:
            camera.read()
    assert not psutil.pid_exists(pid)


def test_it_ends_with_its_agent(video):
    """The worker's standard input ends when the agent is killed."""
    camera = apart(video(), loop=True)
    camera.open()
    pid, child = camera.pid, camera._child
    child._process.stdin.close()
    assert child._process.wait(3) == 0
    camera.close()
    assert not psutil.pid_exists(pid)


def test_the_password_is_in_no_command_line(listening):
    server = listening()
    camera = apart(f"rtsp://127.0.0.1:{server.port}/x", username="u", password="geheim", timeout=2)

    def opened():
        with pytest.raises(CameraError):
            camera.open()

    opening = threading.Thread(target=opened)
    opening.start()
    wait_until(lambda: server.accepted)
    words = psutil.Process(camera.pid).cmdline()
    assert "agent.cameras.isolation.worker" in words
    assert "geheim" not in " ".join(words)
    opening.join(10)
    camera.close()


def test_nothing_in_the_working_directory_is_imported(video, tmp_path):
    """Neither a package of the agent's name, nor one that it imports, whatever the environment says."""
    planted = tmp_path / "planted"
    marker = tmp_path / "ran"
    for name in ("agent", "numpy", "av", "cv2", "json", "runpy", "sitecustomize"):
        folder = planted / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(f"open({str(marker)!r}, 'a').write({name!r})\n")
    code = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from agent.cameras.isolation.isolated import IsolatedCamera
from agent.cameras.kinds.stream import StreamCamera
from agent.cameras.kinds.stream_options import StreamOptions
os.chdir({str(planted)!r})
sys.path.insert(0, "")  # as in a shell of Python's
camera = IsolatedCamera("stream", "front", StreamOptions(url={str(video())!r}))
camera.open()
print(camera.read().image.shape)
camera.close()
"""
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.returncode) == ("(96, 160, 3)", 0), done.stderr
    assert not marker.exists(), marker.read_text()
