"""Cameras: what a camera must offer, and the kinds there are."""

from __future__ import annotations

from typing import Protocol

from agent.core.registry import Registry
from agent.core.types import Frame


class Camera(Protocol):
    """One source of frames, used by one thread.

    Its class has `Options`, a settings dataclass, and is made as `Kind(name, options)`, which only stores. A
    kind may also have `lossless` (True: no frame may be left out, as in a file read as fast as possible),
    `finite` (True: it ends by itself), `apart` (True: a process of its
    own decodes, so that a crash there harms nothing else), `period` (seconds between frames, where that is long),
    `take_failed()` (how many frames were damaged, and so left out, since the last call; for the reading
    thread), `on_waiting` (set by the reader: `read` calls it, with a note or "", while there is a good reason that
    no frame comes) and `wants` (set by the reader: whether the image of a frame that comes at this time, in monotonic
    seconds, is looked at; if not, it may be `stamping.NO_IMAGE`, and the frame only counts).
    """

    def open(self) -> None:
        """Acquire the source; raises CameraError (with its kind) and may be called again after `close`."""

    def read(self) -> Frame | None:
        """Block for the next frame; None at the regular end of a source. Raises CameraError.

        Its image is memory that is no one else's: privacy masks are drawn into it.
        """

    def close(self) -> None:
        """Release everything; may be called twice, and from another thread to end a blocking `read`."""


CAMERAS = Registry(
    "camera kind",
    {
        "stream": "agent.cameras.kinds.stream:StreamCamera",
        "snapshot": "agent.cameras.kinds.snapshot:SnapshotCamera",
        "gstreamer": "agent.cameras.kinds.gstreamer:GStreamerCamera",
        "v4l2": "agent.cameras.kinds.v4l2:V4l2Camera",
        "images": "agent.cameras.kinds.images:ImagesCamera",
        "synthetic": "agent.cameras.kinds.synthetic.camera:SyntheticCamera",
    },
)
