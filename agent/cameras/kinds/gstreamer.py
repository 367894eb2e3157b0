"""A GStreamer pipeline as a camera: what decodes on a Jetson, run by `gst-launch-1.0` in a process of its own.

GStreamer's Python bindings belong to the system and cannot be seen from a virtual environment; its command can.
It also means that a driver or decoder that crashes takes only that process with it.
"""

from __future__ import annotations

import re
import shlex
import signal
import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.cameras.isolation.child import Child, ended_by
from agent.cameras.kinds import gdp
from agent.cameras.owned import ClosedError
from agent.cameras.stamping import stamped
from agent.config.fields import seal, setting
from agent.core.errors import CameraError, CameraFailure, ConfigError
from agent.core.masking import mask
from agent.core.secret import Masked
from agent.core.types import Frame

PROGRAM = "gst-launch-1.0"
# What is pasted from programs that use OpenCV ends so; the agent brings its own end.
_APPSINK = re.compile(r"!\s*appsink\b[^!]*$")
_SINK = re.compile(r"(?:!|^)\s*(\w*sink)\b[^!]*$")

# From gst-launch's error output to the kind of failure; the first that matches.
_MEANINGS: tuple[tuple[str, CameraFailure, str], ...] = (
    (
        r'no element "gdppay"',
        CameraFailure.OTHER,
        "GStreamer lacks the element gdppay; apt-get install gstreamer1.0-plugins-bad",
    ),
    (
        r"erroneous pipeline|could not be constructed|could not link",
        CameraFailure.OTHER,
        "the pipeline of camera '{camera}' is wrong: {detail}",
    ),
    (
        r"[Uu]nauthori[sz]ed|[Nn]ot authori[sz]ed|\b401\b|\b403\b|Forbidden",
        CameraFailure.AUTH,
        "the source refuses the login; check user and password in the pipeline of camera '{camera}'",
    ),
    (
        r"Cannot identify device|No cameras available|device .* (?:gone|disconnected|lost)",
        CameraFailure.DEVICE_GONE,
        "the device is not there: {detail}",
    ),
    (
        r"Could not resolve|Error resolving",
        CameraFailure.UNRESOLVED,
        "the host name is not known: {detail}",
    ),
    (
        r"No such file|Resource not found|\b404\b|Not Found",
        CameraFailure.NOT_FOUND,
        "the source is not there: {detail}",
    ),
    (r"[Tt]imeout|[Tt]imed out", CameraFailure.TIMEOUT, "the source does not answer: {detail}"),
    (
        r"Could not open resource|Failed to connect|[Rr]efused|Device .* is busy",
        CameraFailure.REFUSED,
        "the source refuses: {detail}",
    ),
    (
        r"not-negotiated|decod|demux|Could not determine type|no valid frames|Internal data stream",
        CameraFailure.CODEC,
        "the pipeline gives no readable video: {detail}",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GStreamerOptions:
    """The pipeline, and what its end means."""

    pipeline: Masked = setting(
        kind="pipeline",
        doc="Pipeline as for gst-launch-1.0, up to raw video and without a sink: the agent adds "
        "conversion and sink. Passwords in it are visible in the box's process list.",
        example='"nvarguscamerasrc ! nvvidconv ! video/x-raw,format=BGRx"',
    )
    source: str = setting(
        "live",
        choices=("live", "file"),
        doc="live: an end of the pipeline is a failure, and it is restarted; file: it is the end of the "
        "source, no frame is dropped.",
    )
    timeout: float = setting(
        10.0,
        kind="duration",
        minimum=0.5,
        maximum=40,
        doc="Longest wait for the first and for each further frame.",
    )

    def __post_init__(self) -> None:
        """The pipeline must be there, with its quotes closed and without a sink."""
        seal(self)
        pipeline = without_appsink(self.pipeline.reveal())
        try:
            words = shlex.split(pipeline)
        except ValueError as error:
            raise ConfigError(
                f"cannot be read: {error}", key="pipeline", expected="quotes in pairs"
            ) from None
        if not words:
            raise ConfigError("is empty", key="pipeline", expected="a source and its elements, joined by !")
        sink = _SINK.search(pipeline)
        if sink:
            raise ConfigError(
                f"ends in {sink[1]}", key="pipeline", expected="raw video at its end; the agent adds a sink"
            )


class GStreamerCamera:
    """The frames of a pipeline."""

    Options = GStreamerOptions
    apart = True

    def __init__(self, name: str, options: GStreamerOptions) -> None:
        self.name, self.options = name, options
        self.lossless = self.finite = options.source == "file"
        self._child: Child | None = None
        self._layout: gdp.BufferLayout | None = None
        self._first: _TimedImage | None = None
        self._index = 0
        self._lock = threading.Lock()

    def open(self) -> None:
        """Start the pipeline and wait for its first frame; raises CameraError."""
        # An interrupt lets it put its devices back: a killed one can leave a Jetson's camera service stuck.
        child = Child(lambda fd: command(self.options.pipeline.reveal(), fd), stop_signal=signal.SIGINT)
        with self._lock:
            self._child, self._layout, self._index = child, None, 0
        try:
            child.start()
            self._first = self._next_image(child)
            if self._first is None:
                raise self._error(CameraFailure.CODEC, "the pipeline of camera '{camera}' gives no frame")
        except FileNotFoundError:
            self.close()
            raise self._error(
                CameraFailure.OTHER, f"{PROGRAM} is not installed; apt-get install gstreamer1.0-tools"
            ) from None
        except ClosedError:
            raise self._error(CameraFailure.OTHER, "camera '{camera}' was closed") from None
        except CameraError:
            self.close()
            raise

    def read(self) -> Frame | None:
        """The next frame; None at the end of a `file`."""
        child = self._child
        if child is None:
            raise self._error(CameraFailure.OTHER, "camera '{camera}' is not open")
        frame, self._first = self._first, None
        try:
            frame = frame or self._next_image(child)
        except ClosedError:
            raise self._error(CameraFailure.OTHER, "camera '{camera}' was closed") from None
        if frame is None:
            return None
        index, self._index = self._index, self._index + 1
        return stamped(self.name, index, frame.image, media_seconds=frame.seconds)

    def close(self) -> None:
        """End the pipeline; from another thread, ask it to end."""
        with self._lock:
            child, self._child = self._child, None
        self._first = None
        if child is not None:
            child.close()

    def _next_image(self, child: Child) -> _TimedImage | None:
        """The next frame of the pipeline, None at the end of a `file`; raises CameraError, ClosedError."""
        try:
            while True:
                header = child.take(gdp.HEADER_BYTES, self.options.timeout)
                if header is None:
                    return self._end(child)
                packet = gdp.packet(header.tobytes())
                payload = child.take(packet.length, self.options.timeout)
                if payload is None:
                    return self._end(child)
                if packet.kind == gdp.CAPS:
                    self._layout = gdp.layout(payload.tobytes())
                elif packet.kind == gdp.BUFFER:
                    return _TimedImage(self._image(payload), packet.seconds)
        except gdp.ProtocolError as error:
            raise self._error(
                CameraFailure.CODEC, f"the pipeline of camera '{{camera}}' gives {error}"
            ) from None
        except TimeoutError:
            raise self._error(
                CameraFailure.TIMEOUT,
                f"the pipeline of camera '{{camera}}' gave no frame for {self.options.timeout:g} s; "
                "check the camera and the network between",
            ) from None

    def _image(self, payload: NDArray[np.uint8]) -> NDArray[np.uint8]:
        layout = self._layout
        if layout is None or payload.size != layout.length:
            raise gdp.ProtocolError(f"a frame of {payload.size} bytes, declared as {layout}")
        rows = payload.reshape(layout.height, layout.stride)[:, : layout.width * 3]
        return np.ascontiguousarray(rows).reshape(layout.height, layout.width, 3)

    def _end(self, child: Child) -> _TimedImage | None:
        """None at the regular end of a `file`; raises CameraError for every other end."""
        code = child.end()
        if code < 0:
            raise self._error(CameraFailure.CRASHED, f"{PROGRAM} of camera '{{camera}}' {ended_by(-code)}")
        if code > 0:
            kind, text = meaning(child.stderr)
            raise self._error(kind, text)
        if not self.finite:
            raise self._error(CameraFailure.END_OF_STREAM, "the pipeline of camera '{camera}' ended")
        return None

    def _error(self, kind: CameraFailure, text: str) -> CameraError:
        return CameraError(text.replace("{camera}", self.name), kind=kind)


@dataclass(frozen=True, slots=True, eq=False)
class _TimedImage:
    """A frame (H, W, 3) uint8 BGR, and its own time stamp."""

    image: NDArray[np.uint8]
    seconds: float | None


def without_appsink(pipeline: str) -> str:
    """`pipeline` without the `appsink` that it may end in."""
    return _APPSINK.sub("", pipeline.strip())


def command(pipeline: str, fd: int) -> list[str]:
    """The command that plays `pipeline` into the pipe `fd`, as packets of `agent.cameras.kinds.gdp`."""
    ours = f"! videoconvert ! video/x-raw,format=BGR ! gdppay ! fdsink fd={fd}"
    # Its own fault handler would keep a crashed pipeline spinning for a debugger.
    return [PROGRAM, "--quiet", "--no-fault", *shlex.split(without_appsink(pipeline)), *ours.split()]


def meaning(stderr: str) -> tuple[CameraFailure, str]:
    """What the words of a pipeline that failed mean, and one line about it without secrets."""
    words = mask(" ".join(complaint(stderr)))
    for pattern, kind, text in _MEANINGS:
        if re.search(pattern, stderr):
            return kind, text.replace("{detail}", words)
    return CameraFailure.OTHER, f"{PROGRAM}: {words or 'it failed without a word'}"


def complaint(stderr: str) -> list[str]:
    """The first complaint of gst-launch, and the reason it gives for that."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    for at, line in enumerate(lines):
        match = re.match(r"(?:ERROR|WARNING): (?:from element \S+: )?(.*)", line)
        if match:
            reason = lines[at + 3 : at + 4] if lines[at + 1 : at + 2] == ["Additional debug info:"] else []
            return [match[1], *(line for line in reason if not line.startswith("ERROR"))]
    return lines[-1:]
