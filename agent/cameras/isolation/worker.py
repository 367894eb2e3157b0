"""Reads one camera in a process of its own, and writes what it reads to the pipe of the file descriptor it is given.

Standard input brings one line of JSON (kind, name, options); its end is the request to end. What is written to
FD is a row of messages: a head (`HEAD`), and then a frame's bytes or the text of an error.
"""

from __future__ import annotations

import contextlib
import dataclasses
import faulthandler
import json
import math
import os
import struct
import sys
import threading
from typing import Any

from agent.cameras import CAMERAS, Camera
from agent.core.errors import CameraError, CameraFailure
from agent.core.secret import Secret
from agent.core.types import Frame
from agent.core.untrusted import parse_json, parse_object

OPENED, FRAME, END, ERROR, WAITING = b"O", b"F", b"N", b"E", b"W"
# What it is; height, width, bytes that follow; damaged frames; Unix and monotonic time; decode and media seconds.
HEAD = struct.Struct("=cIIIIdQdd")


@dataclasses.dataclass(frozen=True, slots=True)
class MessageHeader:
    """The head of a message; the times of a frame are its own (the monotonic clock is one for all processes)."""

    what: bytes
    height: int = 0
    width: int = 0
    length: int = 0
    failed: int = 0
    captured_at: float = 0.0
    monotonic_ns: int = 0
    decode_seconds: float = 0.0
    media_seconds: float = math.nan

    def pack(self) -> bytes:
        """As it goes over the pipe."""
        return HEAD.pack(*(getattr(self, field.name) for field in dataclasses.fields(self)))

    @classmethod
    def unpack(cls, data: bytes) -> MessageHeader:
        """From what came over the pipe."""
        return cls(*HEAD.unpack(data))


def request(kind: str, name: str, options: Any) -> bytes:
    """The line that a worker is given: kind, name and options of its camera."""
    data = {"kind": kind, "name": name, "options": dataclasses.asdict(options)}
    return json.dumps(data, default=_revealed).encode() + b"\n"


def _revealed(value: Any) -> str:
    """What stands behind a secret: the worker gets it over a pipe, and needs it to log in."""
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(type(value).__name__)


def parse_request(line: bytes) -> Camera:
    """The camera that the line of `request` asks for."""
    data = parse_object(line)
    kind = CAMERAS.load(data["kind"])
    options = {key: tuple(v) if isinstance(v, list) else v for key, v in data["options"].items()}
    camera: Camera = kind(data["name"], kind.Options(**options))
    return camera


def frame_head(frame: Frame, failed: int) -> MessageHeader:
    """The head of the message that carries `frame`."""
    height, width = frame.image.shape[:2]
    media = math.nan if frame.media_seconds is None else frame.media_seconds
    return MessageHeader(
        FRAME,
        height,
        width,
        frame.image.nbytes,
        failed,
        frame.captured_at,
        frame.monotonic_ns,
        frame.decode_seconds,
        media,
    )


def serve(camera: Camera, fd: int) -> None:
    """Read `camera` to its end into the pipe `fd`."""
    take_failed = getattr(camera, "take_failed", int)

    def on_waiting(note: str) -> None:
        text = note.encode()
        _write(fd, MessageHeader(WAITING, length=len(text)).pack(), text)

    if hasattr(camera, "on_waiting"):
        camera.on_waiting = on_waiting
    try:
        camera.open()
        _write(fd, MessageHeader(OPENED).pack())
        while (frame := camera.read()) is not None:
            _write(fd, frame_head(frame, take_failed()).pack(), frame.image.data.cast("B"))
        _write(fd, MessageHeader(END, failed=take_failed()).pack())
    except CameraError as error:
        text = json.dumps([error.kind.value, str(error)]).encode()
        _write(fd, MessageHeader(ERROR, length=len(text), failed=take_failed()).pack(), text)


def parse_error(text: bytes) -> CameraError:
    """The error in the text of an ERROR message."""
    try:
        kind, message = parse_json(text)
        return CameraError(str(message), kind=CameraFailure(kind))
    except (ValueError, TypeError) as error:  # a process whose memory is damaged
        return CameraError(f"an error that cannot be read: {error}", kind=CameraFailure.CRASHED)


def _write(fd: int, *parts: memoryview | bytes) -> None:
    for part in parts:
        left = memoryview(part)
        while left:
            left = left[os.write(fd, left) :]


def _end_with(stdin: Any) -> None:
    """End when standard input ends: asked to, or the agent is no more."""
    stdin.read()
    os._exit(0)


def main() -> None:
    """Serve the camera asked for on standard input."""
    from agent.logging import setup as log

    faulthandler.enable()
    log.set_up("info", "auto")
    camera = parse_request(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with, args=(sys.stdin.buffer,), daemon=True).start()
    with contextlib.suppress(BrokenPipeError):  # the agent is no more
        serve(camera, int(sys.argv[1]))


if __name__ == "__main__":
    main()
