"""Time stamps that are no clock: what has none is timed by its arrival, and a file without plays at its rate."""

import subprocess

import numpy as np
import pytest

from agent.cameras.health.inspector import Inspector
from agent.cameras.kinds.stream import StreamCamera
from agent.core import clock
from agent.core.types import CameraState, Frame

SCENE = "-f lavfi -i testsrc2=size=160x96:rate={rate}:duration={seconds}"


def by_ffmpeg(path, words):
    subprocess.run(["ffmpeg", "-v", "error", "-y", *words.split(), str(path)], check=True)
    return path


def opened(url, **options):
    camera = StreamCamera("front", StreamCamera.Options(url=str(url), **options))
    camera.open()
    return camera


def media(url, **options):
    camera = opened(url, pace="fast", **options)
    try:
        return [frame.media_seconds for frame in iter(camera.read, None)]
    finally:
        camera.close()


def test_motion_jpeg_is_timed_by_its_arrival_not_by_the_25_frames_ffmpeg_writes(motion_jpeg):
    camera = opened(motion_jpeg([(64, 48, 90 + i) for i in range(8)], pause=0.01))
    assert [camera.read().media_seconds for _ in range(5)] == [None] * 5
    camera.close()


def test_without_a_clock_a_camera_of_ten_frames_a_second_is_online(monkeypatch):
    """What the stamps of 25 a second did: `slow` after 15 s, and drift judged nothing."""

    def last_state(stamp):
        inspector, rng = Inspector(by_media=False), np.random.default_rng(1)
        for index in range(400):
            image = rng.integers(0, 255, (96, 160, 3), dtype=np.uint8)
            at = int(index * 1e8)
            frame = Frame(
                camera="c",
                index=index,
                image=image,
                captured_at=0.0,
                monotonic_ns=at,
                media_seconds=stamp(index),
            )
            verdict = inspector.inspect(frame)
        return verdict.state

    assert last_state(lambda index: index / 25) is CameraState.SLOW
    assert last_state(lambda index: None) is CameraState.ONLINE


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("raw.h264", "libx264"),
        ("raw.hevc", "libx265 -x265-params log-level=none"),
        ("raw.264", "libx264 -bf 2 -f h264"),
    ],
)
def test_a_raw_file_plays_at_the_rate_it_declares(tmp_path, name, codec):
    path = by_ffmpeg(tmp_path / name, SCENE.format(rate=10, seconds=1) + f" -c:v {codec}")
    assert media(path) == pytest.approx(np.arange(10) / 10)


@pytest.mark.parametrize("name", ["undeclared.mjpeg", "undeclared.h264"])
def test_a_raw_file_that_declares_none_plays_at_the_configured_rate(tmp_path, name):
    words = SCENE.format(rate=10, seconds=1)
    if name.endswith("h264"):  # without the timing in its parameter sets
        words += (
            " -c:v libx264 -x264-params force-cfr=0:stitchable=1 -bsf:v h264_metadata=fixed_frame_rate_flag=0"
        )
    path = by_ffmpeg(tmp_path / name, words)
    assert media(path, fps=8) == pytest.approx(np.arange(10) / 8)
    if name.endswith("mjpeg"):
        assert media(path) == pytest.approx(np.arange(10) / 25)


def test_the_configured_rate_leaves_a_file_with_time_stamps_as_it_is(tmp_path):
    path = by_ffmpeg(tmp_path / "stamped.mp4", SCENE.format(rate=10, seconds=1) + " -c:v libx264")
    assert media(path, fps=50) == pytest.approx(np.arange(10) / 10)


def test_a_raw_file_is_paced(tmp_path):
    path = by_ffmpeg(tmp_path / "raw.h264", SCENE.format(rate=20, seconds=0.5) + " -c:v libx264")
    camera, started = opened(path), clock.monotonic()
    assert len(list(iter(camera.read, None))) == 10
    assert clock.monotonic() - started > 0.4


def test_a_raw_file_keeps_its_time_over_rounds(tmp_path):
    path = by_ffmpeg(tmp_path / "raw.h264", SCENE.format(rate=10, seconds=0.5) + " -c:v libx264")
    camera = opened(path, pace="fast", loop=True)
    assert [camera.read().media_seconds for _ in range(12)] == pytest.approx(np.arange(12) / 10)
    camera.close()
