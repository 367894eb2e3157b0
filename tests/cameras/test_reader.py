"""The reader over real sources: it tells each change once, comes back by itself, and leaks nothing."""

import threading
import time

import numpy as np
import psutil
import pytest
from structlog.testing import capture_logs

from agent.cameras import reader as reader_module
from agent.cameras.fps_limit import FpsLimiter
from agent.cameras.health import stillness
from agent.cameras.kinds.images import ImagesCamera, ImagesOptions
from agent.cameras.kinds.stream import StreamCamera
from agent.cameras.kinds.stream_options import StreamOptions
from agent.cameras.reader import Reader, ReaderCounts
from agent.cameras.stamping import NO_IMAGE, stamped
from agent.config.schema import CameraSettings
from agent.core import clock
from agent.core.errors import CameraError, CameraFailure
from agent.core.frame_slots import FrameSlots
from agent.core.types import CameraState


def stream(url, **options):
    return StreamCamera("front", StreamOptions(url=str(url), **options))


def states(run):
    return [status.state.value for status in run.statuses]


class Scripted:
    """A camera that does what `script` says, call by call: an exception, a number of frames, or a hang."""

    lossless = False

    def __init__(self, *script, fps=200.0):
        self.name, self.script, self.fps = "front", list(script), fps
        self.opened = self.closed = 0
        self.released = threading.Event()
        self._left = 0

    def open(self):
        self.opened += 1
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(step, Exception):
            raise step
        self._left = step

    def read(self):
        if self._left == "hang":
            self.released.wait(30)
            raise CameraError("released", kind=CameraFailure.OTHER)
        if self._left == 0:
            raise CameraError("the stream ended", kind=CameraFailure.END_OF_STREAM)
        self._left -= 1
        time.sleep(1 / self.fps)
        return stamped("front", 0, np.random.default_rng().integers(0, 255, (48, 64, 3), dtype=np.uint8))

    def close(self):
        self.closed += 1


@pytest.fixture
def quick(monkeypatch):
    """No waits between tries."""
    monkeypatch.setattr(reader_module, "after_failure", lambda state, *_: (state, 0.0))
    monkeypatch.setattr(reader_module, "WATCH_SECONDS", 0.02)


# -- files -----------------------------------------------------------------------------------------------------


def test_a_file_is_read_to_its_end_without_losing_a_frame(video, running):
    with running(stream(video(frames=60), pace="fast")) as run:
        run.wait(CameraState.ENDED)
        run.thread.join(2)
        assert not run.thread.is_alive()
        run.until(lambda: len(run.frames) == 60)
    assert states(run) == ["starting", "online", "ended"]
    assert [frame.index for frame in run.frames] == list(range(60))
    assert run.reader.take_counts() == ReaderCounts(seen=60)
    assert run.reader.take_counts() == ReaderCounts()


def test_a_slow_consumer_gets_the_latest_frame_of_a_live_source(video, running):
    with running(stream(video(frames=40, fps=40)), take=False) as run:
        run.wait(CameraState.ENDED)
        (frame,) = run.slots.take(1, timeout=1)
    assert frame.index == 39
    assert run.slots.take_counts("front").dropped == 39


def test_max_fps_thins_evenly_and_counts(video, running):
    with running(stream(video(frames=60, fps=20), pace="fast"), max_fps=5) as run:
        run.wait(CameraState.ENDED)
        run.until(lambda: len(run.frames) == 15)
    assert [frame.index for frame in run.frames] == list(range(0, 60, 4))
    assert run.reader.take_counts() == ReaderCounts(seen=60, skipped=45)


def test_a_truncated_file_ends_in_an_error_and_is_not_played_again(video, running):
    path = video(frames=100)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with running(stream(path, pace="fast")) as run:
        index = run.wait(CameraState.DOWN)
        run.thread.join(2)
        assert not run.thread.is_alive()
    assert run.statuses[index].failure == "codec"
    assert "truncated" in run.statuses[index].reason
    assert len(run.frames) == len({frame.index for frame in run.frames})


def test_a_file_that_is_missing_at_boot_is_retried(tmp_path, video, running, quick):
    camera = stream(tmp_path / "later.mp4", pace="fast")
    with running(camera) as run:
        down = run.wait(CameraState.DOWN)
        assert run.statuses[down].failure == "not_found"
        video("soon.mp4").rename(tmp_path / "later.mp4")
        run.wait(CameraState.ENDED)
    assert states(run) == ["starting", "down", "online", "ended"]
    assert run.reader.take_counts().reconnects == 1


def test_slow_images_are_no_stall(tmp_path, video, running):
    import cv2

    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((20, 20, 3), 100 + index, np.uint8))
    camera = ImagesCamera("front", ImagesOptions(path=str(tmp_path), fps=1))
    with running(camera, stall_timeout=0.5) as run:
        run.wait(CameraState.ENDED)
    assert states(run) == ["starting", "online", "ended"]


# -- RTSP ------------------------------------------------------------------------------------------------------


def test_a_killed_rtsp_server_is_seen_and_its_return_too(rtsp, running):
    server = rtsp()
    with capture_logs() as logs, running(stream(server.url)) as run:
        run.wait(CameraState.ONLINE)
        run.until(lambda: run.frames)
        killed = time.monotonic()
        server.kill()
        down = run.wait(CameraState.DOWN)
        assert run.statuses[down].failure in {"end_of_stream", "refused"}
        restarted = time.monotonic()
        server.start("wide")
        up = run.wait(CameraState.ONLINE, after=down, timeout=15)
        print(
            f"\nloss seen after {run.times[down] - killed:.2f} s, back {run.times[up] - restarted:.2f} s after restart"
        )
        run.until(lambda: run.frames[-1].image.shape == (272, 480, 3))
    assert {frame.image.shape for frame in run.frames} == {(240, 320, 3), (272, 480, 3)}
    assert states(run)[:2] == ["starting", "online"]
    assert run.reader.take_counts().reconnects == 1
    said = [entry["event"] for entry in logs]
    assert said.count("camera is back") == 1
    assert said.count("camera is down, retrying") <= 2  # the kind of failure may change once


def test_a_wrong_password_is_not_hammered(rtsp, running):
    server = rtsp("live", "user", "right")
    camera = stream(server.url, username="user", password="geheim")
    opens = []
    original = camera.open
    camera.open = lambda: (opens.append(1), original())[1]
    with capture_logs() as logs, running(camera) as run:
        down = run.wait(CameraState.DOWN)
        run.until_beats(2)  # it waits, and is seen to be alive
    assert run.statuses[down].failure == "auth"
    assert len(opens) == 1
    assert logs[-1]["retry_seconds"] >= 60
    assert "geheim" not in str(logs) + str(run.story())


def test_a_server_that_falls_silent_is_down_and_comes_back(rtsp, running, quick):
    server = rtsp()
    with running(stream(server.url, timeout=5), stall_timeout=1.0) as run:
        run.wait(CameraState.ONLINE)
        server.pause()
        down = run.wait(CameraState.DOWN)
        assert run.statuses[down].failure == "stall"
        server.kill()
        server.start()
        run.wait(CameraState.ONLINE, after=down, timeout=15)


def test_a_frozen_rtsp_stream_is_told(rtsp, running, monkeypatch):
    monkeypatch.setattr(stillness, "FROZEN_SECONDS", 3.0)
    with running(stream(rtsp("still").url)) as run:
        index = run.wait(CameraState.FROZEN, timeout=12)
        assert "the same frame" in run.statuses[index].reason
        run.until(lambda: not run.frames[-1].usable)
    assert run.frames[0].usable


# -- failures --------------------------------------------------------------------------------------------------


def test_a_source_that_refuses_is_told_once_and_logged_once(running, quick):
    camera = Scripted(CameraError("it refuses", kind=CameraFailure.REFUSED))
    with capture_logs() as logs, running(camera) as run:
        run.wait(CameraState.DOWN)
        run.until(lambda: camera.opened >= 30)
    assert states(run) == ["starting", "down"]
    assert [entry["event"] for entry in logs] == ["camera is down, retrying"]


def test_a_read_that_hangs_for_ever_is_contained(running, quick):
    camera = Scripted(1, "hang")
    camera.script = ["hang", 10**9]
    with running(camera, stall_timeout=0.5) as run:
        down = run.wait(CameraState.DOWN)
        assert run.statuses[down].failure == "stall"
        run.until_beats(10)  # the reader goes on
        assert camera.opened == 1  # not opened again while the hanging thread still holds it
        camera.released.set()
        run.wait(CameraState.ONLINE, after=down)


def test_a_fault_in_a_cameras_code_is_contained(running, quick):
    camera = Scripted(ZeroDivisionError("bug"), 10**9)
    with capture_logs() as logs, running(camera) as run:
        run.wait(CameraState.ONLINE)
    assert states(run)[:3] == ["starting", "down", "online"]
    assert logs[0]["event"] == "unexpected error in a camera"


def test_long_troubles_are_spoken_of_once_in_a_while(running, quick, monkeypatch):
    monkeypatch.setattr(reader_module, "REMIND_SECONDS", 0.3)
    camera = Scripted(CameraError("it refuses", kind=CameraFailure.REFUSED))
    with capture_logs() as logs, running(camera) as run:
        run.until(lambda: [entry["event"] for entry in logs].count("camera is still down") >= 2)
    reminders = [entry for entry in logs if entry["event"] == "camera is still down"]
    assert reminders[0]["tries"] > 5
    assert len(reminders) < camera.opened / 3


def test_stop_is_prompt_even_while_waiting(running):
    with running(Scripted(CameraError("no", kind=CameraFailure.AUTH))) as run:
        run.wait(CameraState.DOWN)
        run.stop.set()
        run.thread.join(20)  # the next try is a minute away
        assert not run.thread.is_alive()


def test_a_reader_can_be_run_again(video):
    camera = stream(video(frames=5), pace="fast")
    slots = FrameSlots()
    reader = Reader(camera, CameraSettings(name="front"), slots, lambda status: None)
    stop = threading.Event()
    stop.set()
    reader.run(stop)
    board_free = threading.Event()
    worker = threading.Thread(target=reader.run, args=(board_free,))
    worker.start()
    taken = []
    while worker.is_alive():
        taken += slots.take(1, timeout=0.05)
    assert len(taken) == 5


@pytest.mark.timeout(90)
def test_a_thousand_reconnects_leak_nothing(motion_jpeg, running, quick):
    url = motion_jpeg([(64, 48, 90)] * 12, pause=0)
    process = psutil.Process()
    with running(stream(url, timeout=3)) as run:
        reconnects = 0
        marks = []
        deadline = time.monotonic() + 60
        while reconnects < 1000 and time.monotonic() < deadline:
            time.sleep(0.02)
            reconnects += run.reader.take_counts().reconnects
            run.frames.clear()
            if reconnects >= 100 * (len(marks) + 1):
                marks.append((process.num_fds(), threading.active_count(), process.memory_info().rss / 1e6))
    print(f"\n{reconnects} reconnects; (handles, threads, MB) first {marks[0]}, last {marks[-1]}")
    assert reconnects >= 1000
    assert abs(marks[-1][0] - marks[0][0]) <= 6
    assert abs(marks[-1][1] - marks[0][1]) <= 4
    assert marks[-1][2] - marks[1][2] < 15


# -- thinning --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fps", "limit", "taken"), [(30, 10, 10), (25, 10, 10), (10, 30, 10), (25, 0, 25), (30, 29, 29)]
)
def test_thinning_keeps_the_rate(fps, limit, taken):
    thinner = FpsLimiter(limit)
    rng = np.random.default_rng(3)
    count = sum(thinner.take(100 + index / fps + rng.normal(0, 0.001)) for index in range(fps * 20))
    assert count / 20 == pytest.approx(taken, rel=0.04)


@pytest.mark.parametrize("limit", [0, 7, 30])
def test_what_is_due_is_known_before_it_is_taken(limit):
    thinner, rng = FpsLimiter(limit), np.random.default_rng(4)
    at = 100.0
    for step in rng.exponential(0.04, 400):
        at += step if step < 0.2 else -50.0  # the clock leaps, too
        due = thinner.is_due(at)
        assert thinner.take(at) == due


class Choosy(Scripted):
    """A camera that makes an image only where one is wanted."""

    def __init__(self, *script, fps):
        super().__init__(*script, fps=fps)
        self.wants = lambda _now: True
        self.made = self.given = 0

    def read(self):
        frame = super().read()
        self.given += 1
        if self.wants(clock.monotonic()):
            self.made += 1
            return frame
        return stamped("front", 0, NO_IMAGE.copy())


def test_of_a_quick_camera_only_what_is_looked_at_becomes_an_image(running):
    camera = Choosy(150, "hang", fps=100.0)
    with running(camera, max_fps=5.0) as run:
        run.until(lambda: camera.closed)
        counts = run.reader.take_counts()
        run.until(lambda: len(run.frames) == counts.seen - counts.skipped)
        assert states(run)[:2] == ["starting", "online"]
        camera.released.set()
    assert counts.seen == 150
    assert all(frame.image.shape == (48, 64, 3) for frame in run.frames)
    assert 5 <= len(run.frames) <= camera.made < 100  # five a second for the model, four for its health


def test_thinning_survives_leaps_of_the_clock():
    thinner = FpsLimiter(1)
    assert [thinner.take(t) for t in (0, 0.5, 1.0, 50.0, 50.5, 51.0, 3.0, 3.5, 4.0)] == [
        True, False, True, True, False, True, True, False, True,
    ]  # fmt: skip


def test_a_camera_that_cannot_be_closed_still_ends_its_thread():
    from agent.cameras.connection import Feed

    class Stubborn:
        def open(self):
            pass

        def read(self):
            return None

        def close(self):
            raise RuntimeError("the driver is gone")

    feed = Feed(Stubborn(), "stubborn", lambda *_: None)
    feed.start()
    assert feed.done.wait(5)
    assert feed.error is None
    assert feed.abandon(0.1), "nor does it matter to who gives it up"
