"""What every entry of the camera registry must keep: reading, ending, closing at any time, opening again."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
import threading
import time

import av
import cv2
import numpy as np
import pytest

from agent.cameras import CAMERAS
from agent.core.errors import CameraError
from agent.core.types import Frame

FRAMES = 6


def video(folder, width=96, height=64):
    path = folder / "video.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=20)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(FRAMES):
            picture = np.full((height, width, 3), 40 + 20 * index, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        output.mux(stream.encode(None))
    return path


def images(folder, width=96, height=64):
    (folder / "images").mkdir(exist_ok=True)
    for index in range(FRAMES):
        cv2.imwrite(
            str(folder / "images" / f"{index}.png"), np.full((height, width, 3), 40 + index, np.uint8)
        )
    return folder / "images"


# How to make a source that works here, of a given size, for each kind: options, or None (no such device here).
SOURCES = {
    "stream": lambda folder, size: {"url": str(video(folder, *size)), "pace": "fast"},
    "images": lambda folder, size: {"path": str(images(folder, *size)), "pace": "fast"},
    "gstreamer": lambda folder, size: {
        "pipeline": f"videotestsrc num-buffers={FRAMES} ! video/x-raw,width={size[0]},height={size[1]}",
        "source": "file",
    },
    "synthetic": lambda folder, size: {
        "width": size[0], "height": size[1], "pace": "fast", "fps": 2, "length": FRAMES / 2,
    },
    "v4l2": None,
    "snapshot": None,
}  # fmt: skip
ABSENT = {
    "stream": {"url": "/nowhere/video.mp4"},
    "images": {"path": "/nowhere"},
    "gstreamer": {"pipeline": "filesrc location=/nowhere ! decodebin"},
    "v4l2": {"device": "/dev/video97"},
    "snapshot": {"url": "http://127.0.0.1:1/snapshot.jpg"},
}
NEEDS = {"gstreamer": "gst-launch-1.0"}
HERE = {kind for kind in CAMERAS if kind not in NEEDS or shutil.which(NEEDS[kind])}
ENDING = [kind for kind, source in SOURCES.items() if source is not None and kind in HERE]
WORKING = [*ENDING, *(CAMERAS.keys() - SOURCES.keys())]  # a kind that is not listed works with its defaults


def made(kind, options):
    cls = CAMERAS.load(kind)
    return cls("front", cls.Options(**options))


@pytest.fixture
def source(request, tmp_path):
    options = SOURCES[request.param](tmp_path, (96, 64)) if request.param in SOURCES else {}
    camera = made(request.param, options)
    yield camera
    camera.close()


def each_working(test):
    return pytest.mark.parametrize("source", WORKING, indirect=True)(test)


def each_that_ends(test):
    return pytest.mark.parametrize("source", ENDING, indirect=True)(test)


def test_no_kind_is_listed_that_there_is_not():
    assert set(SOURCES) <= set(CAMERAS)


@pytest.mark.parametrize("kind", CAMERAS)
def test_every_option_is_documented(kind):
    for field in dataclasses.fields(CAMERAS.load(kind).Options):
        assert field.metadata["doc"].endswith((".", ":")), field.name


@pytest.mark.parametrize("kind", ABSENT)
def test_making_a_camera_touches_nothing_and_an_absent_source_is_a_camera_error(kind):
    camera = made(kind, ABSENT[kind])
    for _ in range(2):
        with pytest.raises(CameraError) as caught:
            camera.open()
        assert "\n" not in str(caught.value)
    camera.close()


@each_that_ends
def test_every_frame_comes_in_its_size(source):
    source.open()
    assert [frame.image.shape for frame in iter(source.read, None)] == [(64, 96, 3)] * FRAMES


@each_working
def test_frames_are_whole_and_stamped(source):
    source.open()
    before = time.monotonic_ns()
    frames = list(itertools.islice(iter(source.read, None), FRAMES))
    assert len(frames) == FRAMES
    for index, frame in enumerate(frames):
        assert isinstance(frame, Frame)
        assert (frame.camera, frame.index) == ("front", index)
        assert frame.image.shape[2:] == (3,)
        assert frame.image.dtype == np.uint8
        assert not frame.image.flags.writeable
        assert frame.usable
        assert abs(frame.captured_at - time.time()) < 60
    stamps = [before, *(frame.monotonic_ns for frame in frames), time.monotonic_ns()]
    assert stamps == sorted(stamps)
    times = [frame.media_seconds for frame in frames if frame.media_seconds is not None]
    assert times == sorted(set(times))


@each_that_ends
def test_the_end_stays_the_end(source):
    source.open()
    list(iter(source.read, None))
    assert source.read() is None


@each_working
def test_close_may_be_called_twice_and_reading_then_is_an_error(source):
    source.open()
    source.read()
    source.close()
    source.close()
    with pytest.raises(CameraError):
        source.read()


@each_working
def test_reading_before_opening_is_an_error(source):
    with pytest.raises(CameraError):
        source.read()


@each_working
def test_it_can_be_opened_again_and_counts_anew(source):
    for _ in range(3):
        source.open()
        assert source.read().index == 0
        assert source.read().index == 1
        source.close()


@pytest.mark.parametrize("kind", ["stream", "images"])
def test_another_size_after_reopening_is_taken_as_it_is(kind, tmp_path):
    camera = made(kind, SOURCES[kind](tmp_path, (96, 64)))
    camera.open()
    assert camera.read().image.shape == (64, 96, 3)
    camera.close()
    SOURCES[kind](tmp_path, (128, 80))
    camera.open()
    assert camera.read().image.shape == (80, 128, 3)
    camera.close()


@each_working
def test_close_from_another_thread_ends_reading(source, tmp_path):
    source.open()
    done = threading.Event()

    def read():
        try:
            while source.read() is not None:
                pass
        except CameraError:
            pass
        done.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    source.close()
    assert done.wait(3)
    reader.join(3)


@each_that_ends
def test_it_says_whether_frames_may_be_lost(source):
    assert source.lossless is True
