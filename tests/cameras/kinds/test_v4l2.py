"""Video4Linux cameras: what can be said without a device (no device is here)."""

import os
from pathlib import Path

import pytest

from agent.cameras.kinds import v4l2
from agent.cameras.kinds.v4l2 import (
    V4l2Camera,
    V4l2Options,
    device_options,
    device_path,
    devices,
    requested_format,
)
from agent.core.errors import CameraError, CameraFailure, ConfigError


@pytest.mark.parametrize(
    ("setting", "path"),
    [
        ("/dev/video3", "/dev/video3"),
        ("2", "/dev/video2"),
        ("/dev/v4l/by-id/usb-046d_C920-video-index0", "/dev/v4l/by-id/usb-046d_C920-video-index0"),
        ("usb-046d_C920-video-index0", "/dev/v4l/by-id/usb-046d_C920-video-index0"),
    ],
)
def test_devices_are_named_by_path_number_or_id(setting, path):
    assert device_path(setting) == path


def test_settings_become_ffmpeg_options():
    options = V4l2Options(width=1280, height=720, fps=30, pixel_format="mjpeg")
    assert device_options(options) == {"video_size": "1280x720", "framerate": "30", "input_format": "mjpeg"}
    assert requested_format(options) == "1280x720 at 30 fps as mjpeg"
    assert device_options(V4l2Options()) == {}
    assert requested_format(V4l2Options()) == "its usual size"


def test_width_without_height_is_refused():
    with pytest.raises(ConfigError, match="width: is given without height"):
        V4l2Options(width=640)


def test_an_absent_device_is_gone_and_named():
    camera = V4l2Camera("usb", V4l2Options(device="/dev/video97"))
    with pytest.raises(CameraError, match="there is no device /dev/video97") as caught:
        camera.open()
    assert caught.value.kind is CameraFailure.DEVICE_GONE


def test_steady_names_are_offered_first():
    numbered = [Path("/dev/video1"), Path("/dev/video0")]
    assert devices(numbered, [Path("/dev/v4l/by-id/usb-cam")]) == ["/dev/v4l/by-id/usb-cam"]
    assert devices(numbered, []) == ["/dev/video0", "/dev/video1"]


def test_a_file_is_no_device(tmp_path):
    (tmp_path / "video.mp4").write_bytes(b"")
    with pytest.raises(CameraError, match="is not a device"):
        V4l2Camera("usb", V4l2Options(device=str(tmp_path / "video.mp4"))).open()


def test_a_device_that_is_no_camera_fails_with_a_reason():
    with pytest.raises(CameraError) as caught:
        V4l2Camera("usb", V4l2Options(device="/dev/null", timeout=1)).open()
    assert "/dev/null" in str(caught.value)


def test_missing_permission_names_the_group(monkeypatch):
    monkeypatch.setattr(v4l2.os, "access", lambda *_: False)  # tests may run as root, who may do all
    with pytest.raises(CameraError, match="group `video`"):
        V4l2Camera("usb", V4l2Options(device="/dev/null")).open()


def test_a_busy_device_says_so():
    camera = V4l2Camera("usb", V4l2Options(device="/dev/null"))
    error = camera._failure(OSError(16, os.strerror(16)))
    assert (error.kind, "in use" in str(error)) == (CameraFailure.REFUSED, True)


def test_a_device_that_was_unplugged_is_gone():
    camera = V4l2Camera("usb", V4l2Options(device="/dev/video97"))
    assert camera._failure(OSError(5, "Input/output error")).kind is CameraFailure.DEVICE_GONE
