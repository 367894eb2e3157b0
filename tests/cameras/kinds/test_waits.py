"""Good reasons for no frame: key frames that are far apart, pauses in files, cameras that seldom send one."""

import subprocess
import time

import numpy as np
import pytest

from agent.cameras import reader as reader_module
from agent.cameras.isolation.isolated import IsolatedCamera
from agent.cameras.kinds import frame_wait
from agent.cameras.kinds import stream as stream_module
from agent.cameras.kinds.stream import StreamCamera
from agent.core.types import CameraState


def stream(url, **options):
    return StreamCamera("front", StreamCamera.Options(url=str(url), **options))


def by_ffmpeg(path, words):
    subprocess.run(["ffmpeg", "-v", "error", "-y", *words.split(), str(path)], check=True)
    return path


@pytest.fixture
def joined_late(tmp_path, listening):
    """A camera (MPEG-TS over HTTP, 10 frames a second) whose next key frame is four seconds away."""
    scene = "-f lavfi -i testsrc2=size=160x96:rate=10:duration=12"
    encode = (
        "-c:v libx264 -preset ultrafast -g 45 -keyint_min 45 -sc_threshold 0 -mpegts_flags resend_headers"
    )
    data = by_ffmpeg(tmp_path / "a.ts", f"{scene} {encode} -pat_period 0.2 -f mpegts").read_bytes()
    packets = [data[at : at + 188] for at in range(0, len(data), 188)]
    starts = [
        at for at, p in enumerate(packets) if p[1] & 0x40 and (p[1] & 0x1F) << 8 | p[2] == 0x100
    ]  # of each frame
    frames = [b"".join(packets[a:b]) for a, b in zip(starts, [*starts[1:], len(packets)], strict=True)]

    def play(connection):
        connection.sendall(
            b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n" + b"".join(packets[: starts[0]])
        )
        for frame in frames[5:]:
            connection.sendall(frame)
            time.sleep(0.1)

    return f"http://127.0.0.1:{listening(play).port}/live"


def impatient(monkeypatch):
    monkeypatch.setattr(frame_wait, "BARREN_SECONDS", 1.0)
    monkeypatch.setattr(frame_wait, "NOTED_SECONDS", 0.1)
    plain = stream_module.ffmpeg_options  # FFmpeg would look at the first seven seconds for the size
    monkeypatch.setattr(
        stream_module, "ffmpeg_options", lambda *a: {**plain(*a), "analyzeduration": "500000"}
    )
    monkeypatch.setattr(reader_module, "WATCH_SECONDS", 0.02)


def test_a_key_frame_is_waited_for_and_the_status_says_so(joined_late, running, monkeypatch):
    impatient(monkeypatch)
    reasons = set()
    with running(stream(joined_late), stall_timeout=1.0) as run:

        def online():
            reasons.add(run.reader.status.reason)
            return run.reader.status.state is CameraState.ONLINE

        run.until(online, 30)
        run.until_frames(3)
    assert [status.state for status in run.statuses][:2] == [CameraState.STARTING, CameraState.ONLINE]
    assert any(reason.startswith("waiting for a key frame, ") for reason in reasons)
    assert run.reader.status.reason == ""
    assert run.reader.take_counts().failed == 0, "frames before the first key frame are not damaged"


def test_a_pause_in_a_file_is_no_stall(tmp_path, running, monkeypatch):
    monkeypatch.setattr(reader_module, "WATCH_SECONDS", 0.02)
    scene = "-f lavfi -i testsrc2=size=160x96:rate=10:duration=1"
    gap = "-vf setpts=PTS+if(gte(N\\,5)\\,4/TB\\,0) -fps_mode vfr -c:v libx264 -preset ultrafast"
    reasons = set()
    with running(stream(by_ffmpeg(tmp_path / "gap.mkv", f"{scene} {gap}")), stall_timeout=1.5) as run:

        def ended():
            reasons.add(run.reader.status.reason)
            return run.reader.status.state is CameraState.ENDED

        run.until(ended, 30)
    assert [s.state for s in run.statuses] == [CameraState.STARTING, CameraState.ONLINE, CameraState.ENDED]
    assert any("next frame of the file is due in" in reason for reason in reasons)
    assert len(run.frames) >= 9


def test_a_pause_is_no_stall_of_a_process_of_its_own_either(tmp_path):
    scene = "-f lavfi -i testsrc2=size=160x96:rate=1/2:duration=4"
    path = by_ffmpeg(tmp_path / "seldom.mkv", f"{scene} -c:v libx264 -preset ultrafast")
    camera, notes = IsolatedCamera("stream", "front", StreamCamera.Options(url=str(path))), []
    camera.on_waiting = notes.append
    camera.open()
    assert len(list(iter(camera.read, None))) == 2
    camera.close()
    assert "the next frame of the file is due in 2 s" in notes


class Seldom:
    """A camera whose frames are ever further apart, as one that slows down for the night."""

    name = "front"

    def __init__(self, gaps):
        self._gaps, self._index = iter(gaps), 0

    def open(self):
        pass

    def read(self):
        from agent.cameras.stamping import stamped

        time.sleep(next(self._gaps))
        self._index += 1
        return stamped("front", self._index, np.full((32, 32, 3), 60 + self._index * 7 % 100, np.uint8))

    def close(self):
        pass


def test_a_source_that_is_slow_by_nature_has_longer_than_the_stall_timeout(running, monkeypatch):
    monkeypatch.setattr(reader_module, "WATCH_SECONDS", 0.02)
    with running(Seldom([0.0, *[0.8] * 6, 1.6, *[0.8] * 3]), stall_timeout=1.2) as run:
        run.until_frames(9, 60)
    assert CameraState.DOWN not in [status.state for status in run.statuses]


def test_a_long_timeout_gives_a_camera_as_long_as_it_asks_for():
    assert stream("http://127.0.0.1:1/", timeout=60).period == 60
    assert stream("http://127.0.0.1:1/").period == 0
    assert stream("http://127.0.0.1:1/live.m3u8").period == 30, (
        "a segment comes at once, and then none for its length"
    )
