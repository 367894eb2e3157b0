"""Cameras on this machine (USB, CSI) through Video4Linux, by way of PyAV."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import av.error

from agent.cameras.address import StreamAddress
from agent.cameras.kinds.decoder import Decoder
from agent.cameras.kinds.ffmpeg_errors import camera_error
from agent.cameras.owned import ClosedError
from agent.cameras.stamping import stamped
from agent.config.fields import setting
from agent.core.errors import CameraError, CameraFailure, ConfigError
from agent.core.secret import Masked
from agent.core.types import Frame

BY_ID = Path("/dev/v4l/by-id")


@dataclass(frozen=True, slots=True, kw_only=True)
class V4l2Options:
    """Which device, and the frames asked of it."""

    device: str = setting(
        "/dev/video0",
        doc="Device: /dev/video0, a number, or (unchanged by replugging) a path or name in /dev/v4l/by-id.",
    )
    width: int = setting(0, minimum=0, maximum=16384, doc="Width in pixels; 0: the device's choice.")
    height: int = setting(0, minimum=0, maximum=16384, doc="Height in pixels; 0: the device's choice.")
    fps: float = setting(0.0, minimum=0, maximum=1000, doc="Requested frame rate; 0: the device's choice.")
    pixel_format: str = setting(
        "auto",
        choices=("auto", "mjpeg", "h264", "yuyv422", "nv12", "uyvy422", "rgb24"),
        doc="Pixel format of the device; with mjpeg most USB cameras run at full size and rate.",
    )
    timeout: float = setting(
        10.0,
        kind="duration",
        minimum=0.5,
        maximum=20,
        doc="Longest wait for the device while it is opened or read.",
    )

    def __post_init__(self) -> None:
        """Width and height go together."""
        if bool(self.width) != bool(self.height):
            given, other = ("width", "height") if self.width else ("height", "width")
            raise ConfigError(f"is given without {other}", key=given, expected="both or neither")


class V4l2Camera:
    """A Video4Linux device."""

    Options = V4l2Options
    lossless = False

    def __init__(self, name: str, options: V4l2Options) -> None:
        self.name, self.options = name, options
        self._path = device_path(options.device)
        self._lock = threading.Lock()
        self._decoder: Decoder | None = None
        self._index = 0

    def open(self) -> None:
        """Open the device; raises CameraError."""
        check_device(self._path)
        decoder = Decoder(
            self._path,
            input_format="v4l2",
            options=device_options(self.options),
            timeout=self.options.timeout,
        )
        with self._lock:
            self._decoder, self._index = decoder, 0
        try:
            decoder.open()
        except (av.error.FFmpegError, ValueError, ClosedError) as error:
            self.close()
            raise self._failure(error) from None

    def read(self) -> Frame | None:
        """The next frame; a device never ends."""
        decoder = self._decoder
        if decoder is None:
            raise CameraError(f"camera '{self.name}' is not open", kind=CameraFailure.OTHER)
        try:
            frame = decoder.next()
            image = None if frame is None else frame.image()
        except (av.error.FFmpegError, ClosedError) as error:
            raise self._failure(error) from None
        if frame is None or image is None:
            raise CameraError(
                f"{self._path} stopped; plug the camera in again", kind=CameraFailure.DEVICE_GONE
            )
        index, self._index = self._index, self._index + 1
        return stamped(
            self.name,
            index,
            image,
            decode_seconds=frame.decode_seconds,
            media_seconds=frame.media_seconds,
        )

    def close(self) -> None:
        """Release the device; from another thread, ask the reading one to."""
        with self._lock:
            decoder, self._decoder = self._decoder, None
        if decoder is not None:
            decoder.close()

    def _failure(self, error: Exception) -> CameraError:
        if isinstance(error, ClosedError):
            return CameraError(f"camera '{self.name}' was closed", kind=CameraFailure.OTHER)
        if isinstance(error, ValueError) and not isinstance(error, av.error.FFmpegError):
            return CameraError(
                "this build of PyAV cannot read v4l2 devices; pip install av", kind=CameraFailure.OTHER
            )
        if not Path(self._path).exists():
            return missing_device(self._path)
        place = StreamAddress(url=Masked(self._path), scheme="", host="")
        if getattr(error, "errno", None) == 22:  # EINVAL: the device refused what it was asked for
            return CameraError(
                f"{self._path} cannot give {requested_format(self.options)}; "
                "list what it can with `v4l2-ctl --list-formats-ext`",
                kind=CameraFailure.OTHER,
            )
        return camera_error(error, self.name, place)


def device_path(device: str) -> str:
    """The device file that a setting names: a path, a number, or a name in /dev/v4l/by-id."""
    if device.isdecimal():
        return f"/dev/video{device}"
    return device if "/" in device else str(BY_ID / device)


def device_options(options: V4l2Options) -> dict[str, str]:
    """The settings as FFmpeg's v4l2 input takes them."""
    chosen = {}
    if options.width:
        chosen["video_size"] = f"{options.width}x{options.height}"
    if options.fps:
        chosen["framerate"] = f"{options.fps:g}"
    if options.pixel_format != "auto":
        chosen["input_format"] = options.pixel_format
    return chosen


def requested_format(options: V4l2Options) -> str:
    """The frames asked for, in words."""
    size = f"{options.width}x{options.height}" if options.width else "its usual size"
    rate = f" at {options.fps:g} fps" if options.fps else ""
    kind = f" as {options.pixel_format}" if options.pixel_format != "auto" else ""
    return f"{size}{rate}{kind}"


def check_device(path: str) -> None:
    """Raise a CameraError that names the mend where `path` cannot be a camera for this process."""
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        raise missing_device(path) from None
    if not stat.S_ISCHR(mode):
        raise CameraError(
            f'{path} is not a device; use kind = "stream" for files', kind=CameraFailure.NOT_FOUND
        )
    if not os.access(path, os.R_OK | os.W_OK):
        raise CameraError(
            f"no permission to use {path}; add the agent's user to the group `video`",
            kind=CameraFailure.OTHER,
        )


def missing_device(path: str) -> CameraError:
    """The error for a device that is not there, naming those that are."""
    there = devices(Path("/dev").glob("video*"), BY_ID.glob("*"))
    hint = f"cameras here: {', '.join(there)}" if there else "no camera is plugged in here"
    return CameraError(f"there is no device {path}; {hint}", kind=CameraFailure.DEVICE_GONE)


def devices(numbered: Iterable[Path], by_id: Iterable[Path]) -> list[str]:
    """The paths worth naming: steady ones where there are any."""
    steady = sorted(str(path) for path in by_id)
    return steady or sorted(str(path) for path in numbered)
