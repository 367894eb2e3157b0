"""Pipelines as cameras, run by the real gst-launch-1.0: pictures, ends, failures by their kind, no secrets."""

import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from agent.app.kinds import KINDS
from agent.cameras.kinds import gstreamer
from agent.cameras.kinds.gstreamer import GStreamerCamera, GStreamerOptions, command, meaning
from agent.config.load import parse
from agent.core.errors import CameraError, CameraFailure, ConfigError
from agent.core.masking import mask
from agent.core.types import CameraState

pytestmark = pytest.mark.skipif(
    not shutil.which("gst-launch-1.0"), reason="needs gst-launch-1.0 (Debian package gstreamer1.0-tools)"
)
LIVE = "videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=25/1"
X264 = f"{LIVE} ! x264enc tune=zerolatency speed-preset=ultrafast ! h264parse ! openh264dec"


def camera(pipeline, **options):
    return GStreamerCamera("front", GStreamerOptions(pipeline=pipeline, **options))


def failure(pipeline, **options):
    made = camera(pipeline, timeout=20, **options)
    try:
        with pytest.raises(CameraError) as caught:
            made.open()
            while made.read() is not None:
                pass
    finally:
        made.close()
    assert "\n" not in str(caught.value)
    return caught.value


def children():
    return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


def test_an_encoded_live_pipeline_gives_moving_pictures():
    made = camera(X264)
    made.open()
    frames = [made.read() for _ in range(8)]
    made.close()
    assert {frame.image.shape for frame in frames} == {(240, 320, 3)}
    assert [frame.index for frame in frames] == list(range(8))
    assert np.diff([frame.media_seconds for frame in frames]) == pytest.approx(np.full(7, 0.04), abs=0.02)
    assert not np.array_equal(frames[0].image, frames[7].image)


def test_colours_and_rows_come_out_right_at_an_odd_width():
    made = camera("videotestsrc num-buffers=1 pattern=red ! video/x-raw,width=61,height=37", source="file")
    made.open()
    frame = made.read()
    assert frame.image.shape == (37, 61, 3)
    assert np.abs(frame.image.astype(int) - [0, 0, 255]).max() <= 8
    assert made.read() is None
    made.close()


def test_the_size_may_change_between_connections_and_nothing_is_left_behind():
    before = children()
    for width in (320, 160, 320):
        made = camera(f"videotestsrc is-live=true ! video/x-raw,width={width},height=120")
        made.open()
        assert made.read().image.shape == (120, width, 3)
        made.close()
    assert children() == before


def test_the_end_of_a_live_pipeline_is_a_failure():
    assert failure("videotestsrc num-buffers=2").kind is CameraFailure.END_OF_STREAM


@pytest.mark.parametrize(
    ("pipeline", "kind", "said"),
    [
        ("videotestsrc ! nonsense", CameraFailure.OTHER, 'no element "nonsense"'),
        ("videotestsrc !", CameraFailure.OTHER, "the pipeline of camera 'front' is wrong"),
        ("filesrc location=/nowhere ! decodebin", CameraFailure.NOT_FOUND, '"/nowhere"'),
        ("filesrc location=/etc/passwd ! decodebin", CameraFailure.CODEC, "no readable video"),
        ("v4l2src device=/dev/video97", CameraFailure.DEVICE_GONE, "/dev/video97"),
        ("rtspsrc location=rtsp://u:geheim@127.0.0.1:9/x ! decodebin", CameraFailure.REFUSED, "refuses"),
    ],
)
def test_failures_have_their_kinds_and_words(pipeline, kind, said):
    error = failure(pipeline)
    assert (error.kind, said in str(error)) == (kind, True), str(error)
    assert "geheim" not in str(error)


def test_a_wrong_password_is_named_so(rtsp):
    url = rtsp("live", "user", "right").url.replace("//", "//user:geheim@")
    error = failure(f"rtspsrc location={url} latency=0 ! rtph264depay ! h264parse ! openh264dec")
    assert error.kind is CameraFailure.AUTH
    assert "geheim" not in str(error)


def test_a_pipeline_that_gives_nothing_is_a_timeout():
    made = camera("appsrc is-live=true", timeout=0.6)
    with pytest.raises(CameraError) as caught:
        made.open()
    assert caught.value.kind is CameraFailure.TIMEOUT


def test_a_decoder_that_crashes_is_a_failure_of_that_camera_and_it_comes_back(running):
    made = camera(LIVE)
    with running(made) as run:
        run.wait(CameraState.ONLINE)
        os.kill(made._child.pid, signal.SIGSEGV)
        down = run.wait(CameraState.DOWN)
        assert run.statuses[down].failure == "crashed"
        assert "SIGSEGV" in run.statuses[down].reason
        run.wait(CameraState.ONLINE, after=down)


def test_without_gstreamer_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(gstreamer, "PROGRAM", "gst-launch-nowhere")
    assert "apt-get install gstreamer1.0-tools" in str(failure(LIVE))


# -- options ---------------------------------------------------------------------------------------------------


def test_what_opencv_users_paste_is_understood():
    words = command("a ! b ! appsink drop=1 max-buffers=1", 7)
    assert " ".join(words).endswith("a ! b ! videoconvert ! video/x-raw,format=BGR ! gdppay ! fdsink fd=7")
    assert "video/x-raw(memory:NVMM), width=1280" in command(
        "a ! 'video/x-raw(memory:NVMM), width=1280' ! b", 7
    )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('""', "is empty"),
        ('"appsink"', "ends in appsink"),
        ('"videotestsrc ! autovideosink"', "ends in autovideosink"),
        ('"videotestsrc ! \'video/x-raw"', "quotes in pairs"),
    ],
)
def test_a_wrong_pipeline_is_refused_with_its_key(value, said):
    with pytest.raises(ConfigError) as caught:
        parse(f'[[cameras]]\nname = "a"\nkind = "gstreamer"\npipeline = {value}\n', KINDS, file="v.toml")
    assert "pipeline" in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "rtspsrc location=rtsp://user:geheim@host/x ! decodebin",
        "rtspsrc location=rtsp://host/x user-id=user user-pw=geheim ! decodebin",
        "rtspsrc location=\"rtsp://user:ge/heim@host/x\" user-pw='geheim x' ! decodebin",
        "souphttpsrc location=http://host/x password = geheim",
    ],
)
def test_passwords_in_a_pipeline_are_not_shown(text):
    assert "heim" not in mask(text)
    assert "host/x" in mask(text)
    assert "heim" not in repr(GStreamerOptions(pipeline=text))


def test_words_that_nobody_foresaw_are_passed_on():
    assert meaning("") == (CameraFailure.OTHER, "gst-launch-1.0: it failed without a word")
    assert meaning("ERROR: from element /x: Odd.\n")[1] == "gst-launch-1.0: Odd."
