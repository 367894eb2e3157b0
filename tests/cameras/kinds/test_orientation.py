"""Frames are shown as their source asks for it: mirrored and turned, by a file's head, a message of the codec, or Exif."""

import gc
import subprocess

import av
import cv2
import numpy as np
import pytest

from agent.cameras.kinds.orientation import Orientation
from agent.cameras.kinds.stream import StreamCamera

UNIT = 1 << 16


def frames(path, count=3):
    camera = StreamCamera("front", StreamCamera.Options(url=str(path), pace="fast"))
    camera.open()
    try:
        return [camera.read().image for _ in range(count)]
    finally:
        camera.close()


def remuxed(path, to, *words):
    subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-c", "copy", *words, to], check=True)
    return to


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((-UNIT, 0, 0, UNIT), lambda image: image[:, ::-1]),
        ((UNIT, 0, 0, -UNIT), lambda image: image[::-1]),
        ((-UNIT, 0, 0, -UNIT), lambda image: image[::-1, ::-1]),
        ((0, UNIT, UNIT, 0), lambda image: image.transpose(1, 0, 2)),
        ((0, UNIT, -UNIT, 0), lambda image: np.rot90(image, -1)),
    ],
    ids=["mirrored", "upside down and mirrored", "half a turn", "exchanged", "a quarter"],
)
def test_a_files_display_matrix_is_followed(video, tmp_path, matrix, shown):
    plain = video(frames=3)
    data = bytearray(plain.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (value.to_bytes(4, "big", signed=True) for value in matrix)
    data[at : at + 20] = a + b + bytes(4) + c + d
    turned = tmp_path / "turned.mp4"
    turned.write_bytes(data)
    assert all(
        np.array_equal(one, shown(other)) for one, other in zip(frames(turned), frames(plain), strict=True)
    )


def test_what_a_camera_says_with_its_key_frames_holds_up_to_the_next(video, tmp_path):
    plain = video(frames=12, gop=12)
    words = "-bsf:v", "h264_metadata=display_orientation=insert:rotate=90"
    turned = remuxed(plain, tmp_path / "turned.mp4", *words)
    found, expected = frames(turned, 12), frames(plain, 12)
    assert all(np.array_equal(one, np.rot90(other)) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("rotate", [0, 90])
def test_frames_leave_no_memory_behind_that_waits_for_the_garbage_collector(video, tmp_path, rotate):
    """A frame that was asked for its side data refers to itself: 60 MB of such frames waited in a small agent."""
    plain = video(frames=30, gop=30)
    words = "-bsf:v", f"h264_metadata=display_orientation=insert:rotate={rotate}"
    source = remuxed(plain, tmp_path / "turned.mp4", *words)
    gc.collect()
    gc.disable()
    try:
        before = alive()
        frames(source, 30)
        left = alive() - before
    finally:
        gc.enable()
    assert left <= 2


def alive():
    return sum(isinstance(one, av.VideoFrame) for one in gc.get_objects())


def test_a_jpeg_is_turned_by_its_exif(tmp_path):
    """Exif is side data of a kind that PyAV does not know."""
    image = np.zeros((48, 64, 3), np.uint8)
    image[:12] = 250
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    path = tmp_path / "turned.jpg"
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:])
    (shown,) = frames(path, 1)
    assert shown.shape == (64, 48, 3)
    assert shown[:, -10:].mean() > 240
    assert shown[:, :30].mean() < 10


@pytest.mark.parametrize("degrees", [-180, -90, 0, 90, 180, 270, 44])
def test_degrees_are_a_turn_to_the_left(degrees):
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert np.array_equal(Orientation.of_degrees(degrees).shown(image), np.rot90(image, round(degrees / 90)))
