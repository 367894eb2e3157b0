"""GStreamer's data protocol (version 1.0): how `gdppay` writes buffers and caps, read back.

Every packet is a header of 62 bytes and a payload; all integers are big-endian:

====== =====================================================
offset content
====== =====================================================
0-1    version: 1, 0
2-3    flags, padding
4-5    kind of payload: 1 a buffer, 2 caps, others are events
6-9    length of the payload in bytes
10-17  time stamp in nanoseconds, all ones where there is none
18-61  duration, offsets, flags, decoding time, checksums
====== =====================================================

Source: gst-plugins-bad, `gst/gdp/dataprotocol.c`.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

HEADER_BYTES = 62
BUFFER, CAPS = 1, 2
NO_TIME = 2**64 - 1
# Nobody's camera has more: 16,384 x 16,384. A corrupt length must not take the memory of the box.
LARGEST_BYTES = 16384 * 16384 * 3

_HEAD = struct.Struct(">BBBBHIQ")
_FIELD = re.compile(r"\b(format|width|height)=(?:\([a-z]+\))?([A-Za-z0-9_]+)")


class ProtocolError(Exception):
    """What came is not what `gdppay` writes."""


@dataclass(frozen=True, slots=True)
class GdpHeader:
    """The head of a packet: kind and length in bytes of its payload, its time stamp in seconds."""

    kind: int
    length: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class BufferLayout:
    """How BGR frames lie in a buffer: each row is padded to a multiple of four bytes."""

    width: int
    height: int

    @property
    def stride(self) -> int:
        """Bytes of a row."""
        return (self.width * 3 + 3) // 4 * 4

    @property
    def length(self) -> int:
        """Bytes of a frame."""
        return self.stride * self.height


def packet(header: bytes) -> GdpHeader:
    """The head in the 62 bytes `header`; raises ProtocolError."""
    major, _minor, _flags, _padding, kind, length, time = _HEAD.unpack_from(header)
    if major != 1 or length > LARGEST_BYTES:
        raise ProtocolError(f"version {major}, {length} bytes")
    return GdpHeader(kind, length, None if time == NO_TIME else time / 1e9)


def layout(caps: bytes) -> BufferLayout:
    """The layout that the payload of a caps packet declares; raises ProtocolError."""
    text = caps.rstrip(b"\0").decode("utf-8", "replace")
    fields = dict(_FIELD.findall(text))
    if not text.startswith("video/x-raw") or fields.get("format") != "BGR":
        raise ProtocolError(f"caps {text[:80]}")
    try:
        found = BufferLayout(int(fields["width"]), int(fields["height"]))
    except (KeyError, ValueError):
        raise ProtocolError(f"caps {text[:80]}") from None
    if not 0 < found.length <= LARGEST_BYTES:
        raise ProtocolError(f"frames of {found.width}x{found.height}")
    return found
