"""No image file takes the memory of the box, whatever its header says."""

import os
import resource
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest

from agent import __main__ as command
from agent.core.image_file import MOST_PIXELS, check_size, read_image
from agent.core.untrusted import BadInput

SIDE = 60_000


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(side=SIDE):
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


def jpeg(side=SIDE):
    """A real one whose frame header, behind a long comment, says another size."""
    data = bytearray(cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", side, side)
    return bytes(data[:2]) + b"\xff\xfe\xff\xff" + bytes(0xFFFD) + b"\xff\xff" + bytes(data[3:])


def bmp(side=SIDE):
    data = bytearray(cv2.imencode(".bmp", np.zeros((16, 16, 3), np.uint8))[1].tobytes())
    data[18:26] = struct.pack("<ii", side, -side)
    return bytes(data)


BOMBS = {
    "a.png": png(),
    "a.jpg": jpeg(),
    "a.bmp": bmp(),
    "a.ppm": f"P6\n# by hand\n{SIDE} {SIDE}\n255\n".encode() + bytes(99),
    "grey.pgm": f"P5 {SIDE} {SIDE} 255\n".encode() + bytes(99),
}

TRY = """
import sys
from pathlib import Path
from agent.core.image_file import read_image
from agent.core.untrusted import BadInput
try:
    read_image(Path(sys.argv[1]))
except BadInput as error:
    print(error)
"""


@pytest.mark.parametrize("name", BOMBS)
def test_a_header_that_asks_for_too_much_is_refused_before_it_is_given(tmp_path, name):
    """60,000 by 60,000 pixels are 10.8 GB; the process may have 4, mostly address space of libraries."""
    (tmp_path / name).write_bytes(BOMBS[name])
    told = subprocess.run(
        [sys.executable, "-c", TRY, str(tmp_path / name)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "OPENCV_IO_MAX_IMAGE_PIXELS": str(2**40), "OPENCV_IO_MAX_IMAGE_WIDTH": str(2**20)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30)),
        check=False,
    )
    assert told.stdout == f"has {SIDE}×{SIDE} pixels; at most 67 million are read\n", told.stderr


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.ppm", "a.webp", "a.tiff"])
def test_ordinary_images_are_read_in_every_format(tmp_path, name):
    cv2.imwrite(str(tmp_path / name), np.full((48, 64, 3), 120, np.uint8))
    assert read_image(tmp_path / name).shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "is not there"),
        (lambda path: path.mkdir(), "is not a file"),
        (os.mkfifo, "is not a file"),
        (lambda path: path.symlink_to("/dev/zero"), "is not a file"),
        (lambda path: path.touch(), "is empty"),
        (lambda path: path.write_bytes(png(16)[:60]), "is cut off"),
        (lambda path: path.write_bytes(b"not an image"), "is damaged or not an image"),
        (
            lambda path: path.write_bytes(b"\xff\xd8" + b"\xff" * 10**6 + b"\xff\xd9"),
            "is damaged or not an image",
        ),
        (lambda path: path.write_bytes(b"\x89PNG" + b"IEND"), "is cut off"),
        (
            lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 1 << 40),
            "at most 134 MB are read",
        ),
    ],
)
def test_what_is_no_image_says_why(tmp_path, make, said):
    path = tmp_path / "a.png"
    make(path)
    with pytest.raises(BadInput, match=said):
        read_image(path)


def test_headers_of_noise_raise_nothing_else():
    random = np.random.default_rng(5)
    for start in (b"\x89PNG", b"\xff\xd8", b"BM", b"P6\n", b""):
        for _ in range(2000):
            data = start + random.bytes(int(random.integers(0, 60)))
            try:
                check_size(data)
            except BadInput:
                continue


def test_opencv_is_told_the_same_limit_for_other_formats(monkeypatch):
    monkeypatch.delenv("OPENCV_IO_MAX_IMAGE_PIXELS", raising=False)
    with pytest.raises(SystemExit):
        command.main(["--version"])
    assert os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] == str(MOST_PIXELS)
