"""Reads small files that people name: bounded in size and time, no devices, in any encoding of editors."""

from __future__ import annotations

import codecs
import errno
import os
import select
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

PIPE_SECONDS = 5.0  # of silence: a shell's <(command) is filled while it is read
_PIECE_BYTES = 65_536
_UTF16_MARKS = {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}


def read_small(path: str | Path, largest: int) -> bytes:
    """What is in the file or pipe at `path`, `largest` bytes at most.

    Raises OSError: EFBIG (there is more), EINVAL (a device, or no path), ETIMEDOUT (a pipe that nobody fills).
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError:
        raise OSError(errno.EINVAL, "is not a path") from None
    try:
        data = _read(handle, largest)
    finally:
        os.close(handle)
    if len(data) > largest:
        raise OSError(errno.EFBIG, f"it has more than {largest // 1024} KiB")
    return data


def open_plain(path: str | Path) -> BinaryIO:
    """The plain file at `path`, open to be read; OSError, EINVAL for a pipe or a device, which is not waited for."""
    try:
        file = open(path, "rb", opener=_at_once)  # noqa: SIM115  (Path.open takes no opener; the caller closes it)
    except ValueError:
        raise OSError(errno.EINVAL, "is not a path") from None
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise OSError(errno.EINVAL, "is not a plain file")


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def text_of(data: bytes) -> str:
    """As UTF-16 where its first bytes say so, else as UTF-8, without a mark; what is none becomes U+FFFD."""
    return data.decode("utf-16" if data[:2] in _UTF16_MARKS else "utf-8-sig", errors="replace")


def _read(handle: int, largest: int) -> bytes:
    mode = os.fstat(handle).st_mode
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        raise OSError(errno.EINVAL, "is not a file, but a device or socket")
    data = bytearray()
    for piece in pieces(handle, PIPE_SECONDS):
        data += piece
        if len(data) > largest:
            break
    return bytes(data)


def pieces(handle: int, patience: float) -> Iterator[bytes]:
    """What is read of an open file or pipe, piece by piece; OSError (ETIMEDOUT) after `patience` seconds of silence."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    while True:
        if not poll.poll(patience * 1000):
            raise OSError(errno.ETIMEDOUT, "is a pipe that gives nothing")
        piece = os.read(handle, _PIECE_BYTES)
        if not piece:
            return
        yield piece
