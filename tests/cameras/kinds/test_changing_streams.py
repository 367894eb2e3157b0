"""Live MPEG-TS whose video goes on under another identifier, in another codec, or not at all: no endless wait."""

import shutil
import subprocess
import threading

import pytest

from agent.cameras.kinds.frame_wait import BARREN_SECONDS, FrameWait
from agent.cameras.kinds.stream import StreamCamera
from agent.cameras.kinds.stream_options import StreamOptions
from agent.core.errors import CameraError, CameraFailure

pytestmark = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="no ffmpeg")


@pytest.fixture
def recorded(tmp_path):
    """MPEG-TS of two seconds, made with what is said of the output."""

    def make(name, words):
        path = tmp_path / f"{name}.ts"
        scene = "-f lavfi -i testsrc2=size=160x96:rate=10:duration=2 -f lavfi -i sine=duration=2"
        encode = "-c:v libx264 -preset ultrafast -bf 0 -g 5 -c:a mp2"
        subprocess.run(
            ["ffmpeg", "-v", "error", "-y", *f"{scene} {encode} {words}".split(), str(path)], check=True
        )
        return path.read_bytes()

    return make


@pytest.fixture
def broadcast(listening):
    """The address of a server that sends `first` once and `then` again and again to each that connects."""

    def serve(first, then, stopped):
        def play(connection):
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n" + first)
            while not stopped.wait(0.02):
                connection.sendall(then)

        return StreamOptions(url=f"http://127.0.0.1:{listening(play).port}/live", timeout=5)

    stopped = threading.Event()
    yield lambda first, then: serve(first, then, stopped)
    stopped.set()


def test_a_program_under_other_identifiers_is_opened_anew(recorded, broadcast):
    before = recorded("before", "-map 0:v")
    after = recorded("after", "-map 0:v -streamid 0:300 -mpegts_pmt_start_pid 500")
    camera = StreamCamera("front", broadcast(before, after))
    camera.open()
    with pytest.raises(CameraError, match="continues with other streams") as caught:
        while camera.read() is not None:
            pass
    assert caught.value.kind is CameraFailure.END_OF_STREAM
    camera.close()
    camera.open()  # before and after, again: now both are known
    assert camera.read() is not None
    camera.close()


def test_a_playlist_whose_segments_change_their_identifiers_is_opened_anew(recorded, files, tmp_path):
    recorded("before", "-map 0:v")
    recorded("after", "-map 0:v -streamid 0:300 -mpegts_pmt_start_pid 500")
    segments = ["before", "before", "before", "after"]
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2"]
    lines += [f"#EXT-X-DISCONTINUITY\n#EXTINF:2.0,\n{segment}.ts" for segment in segments]
    (tmp_path / "live.m3u8").write_text("\n".join(lines))
    camera = StreamCamera("front", StreamOptions(url=f"{files}/live.m3u8", timeout=5))
    camera.open()
    with pytest.raises(CameraError, match="continues with other streams"):
        while camera.read() is not None:
            pass
    camera.close()


def test_while_only_sound_comes_a_close_takes_effect(recorded, broadcast):
    both, sound = recorded("both", "-map 0:v -map 1:a"), recorded("sound", "-map 1:a -streamid 0:257")
    camera = StreamCamera("front", broadcast(both, sound))
    camera.open()
    frames, ended = [], threading.Event()

    def read():
        try:
            while True:
                frames.append(camera.read())
        except CameraError:
            ended.set()

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    while len(frames) < 18 and not ended.is_set():
        ended.wait(0.02)
    camera.close()
    assert ended.wait(5)
    reading.join(5)
    assert len(frames) >= 18


def test_a_file_in_which_a_program_appears_ends_with_the_first(recorded, tmp_path):
    after = recorded("after", "-map 0:v -streamid 0:300 -mpegts_pmt_start_pid 500")
    path = tmp_path / "joined.ts"
    path.write_bytes(recorded("before", "-map 0:v") + after)
    camera = StreamCamera("front", StreamOptions(url=str(path), pace="fast"))
    camera.open()
    frames = 0
    while camera.read() is not None:
        frames += 1
    assert frames == 20  # as FFmpeg
    camera.close()


@pytest.mark.parametrize(("refused", "failing"), [(0.9, True), (0.3, False)])
def test_a_source_whose_packets_the_decoder_refuses_is_given_up_though_a_frame_comes_now_and_then(
    refused, failing
):
    wait, now = FrameWait(), 100.0
    for number in range(250):
        now = 100 + number * (2 * BARREN_SECONDS + 1) / 250
        wait.packet(now, key_frame=number % 10 == 0)
        if number % 100 < refused * 100:
            wait.refused()
        elif number % 50 == 49:
            wait.frame()
    assert ("its codec may have changed" in wait.failure(now)) is failing
