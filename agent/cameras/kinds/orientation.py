"""How a source asks for its frames to be shown: turned by quarters, mirrored.

Laws
----
1. A frame is shown as its display matrix says (of the file's head, or a message of H.264 or HEVC beside the frame).
2. A message holds up to the next key frame: cameras send it with key frames only, FFmpeg hands it over with that one.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core import clock

_MATRIX = struct.Struct("=9i")  # libavutil/display.h: a, b, u, c, d, v, x, y, w in the machine's byte order


@dataclass(frozen=True, slots=True)
class Orientation:
    """Rows and columns are exchanged first, then columns (`mirrored`) and rows (`flipped`) are taken from behind."""

    exchanged: bool = False
    mirrored: bool = False
    flipped: bool = False

    @classmethod
    def of_matrix(cls, matrix: bytes) -> Orientation:
        """Of a display matrix, 36 bytes, to the nearest quarter: a point (x, y) goes to (a x + c y, b x + d y)."""
        if len(matrix) != _MATRIX.size:
            return cls()
        a, b, _, c, d, *_ = _MATRIX.unpack(matrix)
        if abs(b) > abs(a):
            return cls(exchanged=True, mirrored=c < 0, flipped=b < 0)
        return cls(mirrored=a < 0, flipped=d < 0)

    @classmethod
    def of_degrees(cls, degrees: float) -> Orientation:
        """Of a turn to the left by `degrees`, to the nearest quarter."""
        quarters = round(degrees / 90) % 4
        return cls(exchanged=quarters in (1, 3), mirrored=quarters in (2, 3), flipped=quarters in (1, 2))

    def shown(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """`image` (H, W, 3) as it is to be shown, itself where nothing is to be done."""
        if self == Orientation():
            return image
        turned = image.transpose(1, 0, 2) if self.exchanged else image
        rows, columns = (slice(None, None, -1 if back else 1) for back in (self.flipped, self.mirrored))
        return np.ascontiguousarray(turned[rows, columns])


LOOK_SECONDS = 30.0
"""How often a key frame is looked at whose rotation gives nothing new: an upright one may be mirrored by now."""


class OrientationMemory:
    """The orientation of each frame of one source, by law 2.

    A frame whose side data PyAV was asked for refers to itself, and keeps its memory until Python next looks for such
    circles (60 MB for four small cameras), so it is asked only where it may give something new.
    """

    def __init__(self) -> None:
        self._last, self._degrees = Orientation(), 0
        self._looked_at = -math.inf

    def of(self, frame: Any) -> Orientation:
        """Of a decoded frame of PyAV, in the order of the source."""
        degrees = frame.rotation
        new = degrees != self._degrees if frame.key_frame else degrees not in (0, self._degrees)
        now = clock.monotonic()
        if new or (frame.key_frame and now - self._looked_at >= LOOK_SECONDS):
            self._looked_at, self._degrees = now, degrees
            self._last = _told(frame) or Orientation()
        return self._last


def _told(frame: Any) -> Orientation | None:
    """What comes with a frame, None where nothing does."""
    try:
        matrix = frame.side_data.get("DISPLAYMATRIX")
    except (
        ValueError
    ):  # PyAV names no side data where one is of a kind that it does not know (Exif of a JPEG)
        return Orientation.of_degrees(frame.rotation) if frame.rotation else None
    return None if matrix is None else Orientation.of_matrix(bytes(matrix))
