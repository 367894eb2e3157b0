"""Reads image files, with limits checked before decoding, since a small file may need all the memory."""

from __future__ import annotations

import os
import re
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.core.untrusted import BadInput

LARGEST_BYTES = 128 * 1024 * 1024
MOST_PIXELS = 2**26
"""8192 by 8192; for formats whose header is not read here, OpenCV gets the same limit before it is loaded."""

# Decoders fill a cut-off file with grey and report nothing, so its end mark is looked for. Behind it there may be
# anything: the video of a motion photo, the bytes of a camera's maker.
_JPEG_END, _JPEG_SCAN = 0xD9, 0xDA
_MARKER_IN_SCAN = re.compile(
    rb"\xff[^\x00\xd0-\xd7\xff]"
)  # neither an escaped 0xFF, nor a restart, nor padding
_HEIC = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_PNM = re.compile(rb"P[2356]\s(?:#[^\n]{0,200}\n|\s)*(\d{1,9})\s+(\d{1,9})\s")
_NO_SIZE = frozenset({0xC4, 0xC8, 0xCC})  # among JPEG's frame headers: tables, reserved
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})  # JPEG markers that stand alone


def read_image(path: Path) -> NDArray[np.uint8]:
    """The image in the file at `path` as (H, W, 3) uint8 BGR; raises BadInput where it cannot or must not be read."""
    return decode_image(_read(path))


def decode_image(data: bytes) -> NDArray[np.uint8]:
    """The image that `data` is, as (H, W, 3) uint8 BGR; raises BadInput where it cannot or must not be decoded."""
    check_size(data)
    if (data.startswith(b"\xff\xd8") and not jpeg_ends(data)) or (
        data.startswith(b"\x89PNG") and not _png_ends(data)
    ):
        raise BadInput("is cut off")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # among others: more pixels than the limit that OpenCV was given
        image = None
    if image is None:
        raise BadInput(_not_read(data) or "is damaged or not an image")
    return np.asarray(image, dtype=np.uint8)


def _not_read(data: bytes) -> str:
    """What an image is that OpenCV does not read, and the mend; "" for anything else."""
    if data[4:8] == b"ftyp" and data[8:12] in _HEIC:
        return "is HEIC, which is not read here; save it as JPEG (iPhone: Settings, Camera, Formats, Most Compatible)"
    return ""


def _read(path: Path) -> bytes:
    if not path.is_file():  # a pipe would be waited for, a device has no end
        raise BadInput("is not a file" if os.path.lexists(path) else "is not there")
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(LARGEST_BYTES + 1) if size <= LARGEST_BYTES else b""
    except OSError as error:
        raise BadInput(error.strerror or "cannot be read") from None
    if size > LARGEST_BYTES or len(data) > LARGEST_BYTES:
        raise BadInput(f"has {size / 1e6:,.0f} MB; at most {LARGEST_BYTES / 1e6:,.0f} MB are read")
    if not data:
        raise BadInput("is empty")
    return data


def check_size(data: bytes) -> None:
    """Raise BadInput where the header of a PNG, JPEG, BMP or PNM asks for more than MOST_PIXELS."""
    size = _size(data)
    if size is not None and size[0] * size[1] > MOST_PIXELS:
        raise BadInput(f"has {size[0]}×{size[1]} pixels; at most {MOST_PIXELS / 1e6:.0f} million are read")


def _size(data: bytes) -> tuple[int, int] | None:
    """Width and height by the header; None where it has none."""
    if data.startswith(b"\x89PNG") and len(data) >= 24:
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if data.startswith(b"BM") and len(data) >= 26:
        width, height = (int.from_bytes(data[at : at + 4], "little", signed=True) for at in (18, 22))
        return abs(width), abs(height)
    if data.startswith(b"\xff\xd8"):
        return _jpeg_size(data)
    found = _PNM.match(data)
    return (int(found[1]), int(found[2])) if found else None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in _NO_SIZE:
            height, width = (int.from_bytes(data[at + step : at + step + 2], "big") for step in (5, 7))
            return width, height
        if marker == 0xFF:  # padding
            at += 1
        else:
            at += 2 if marker in _BARE else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def jpeg_ends(data: bytes | memoryview) -> bool:
    """Whether the JPEG at the start of `data` is there to its end mark.

    It is followed from marker to marker, so that the end of a thumbnail in it is not taken for its own.
    """
    at = 2
    while at + 1 < len(data):
        marker = data[at + 1]
        if data[at] != 0xFF or marker == 0xFF:  # stray bytes, which decoders pass over, or padding
            at = _next_marker(data, at)
        elif marker == _JPEG_END:
            return True
        elif marker in _BARE:
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            if marker == _JPEG_SCAN:
                at = _next_marker(data, at)
    return False


def _next_marker(data: bytes | memoryview, at: int) -> int:
    found = _MARKER_IN_SCAN.search(data, at)
    return found.start() if found else len(data)


def _png_ends(data: bytes) -> bool:
    """Whether the PNG at the start of `data` is there to its last chunk."""
    at = 8
    while at + 12 <= len(data):
        if data[at + 4 : at + 8] == b"IEND":
            return True
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return False
