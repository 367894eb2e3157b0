"""Opens a plain file that somebody named: no pipe is waited for, no device is read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from agent.core.errors import ModelError
from agent.core.printable import printable


@contextmanager
def open_plain(path: Path, what: str) -> Iterator[tuple[BinaryIO, int]]:
    """The open file and its size; raises ModelError, which names it as `what`, for anything else."""
    try:
        file = open(path, "rb", opener=_at_once)  # noqa: SIM115  (Path.open takes no opener; closed below)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"{what} {printable(path)} cannot be read: {reason}") from None
    with file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ModelError(f"{what} {printable(path)} is no plain file")
        yield file, found.st_size


def read_plain(path: Path, largest: int, what: str) -> bytes:
    """The bytes of a plain file of at most `largest` bytes; raises ModelError."""
    with open_plain(path, what) as (file, _):
        data = file.read(largest + 1)
    if len(data) > largest:
        raise ModelError(f"{what} {printable(path)} has more than {largest} bytes")
    return data


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
