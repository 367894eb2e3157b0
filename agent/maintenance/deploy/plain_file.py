"""Opens a plain file that somebody named: no pipe is waited for, no device is read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from agent.core import plain_file
from agent.core.errors import ModelError
from agent.core.printable import printable


@contextmanager
def open_plain(path: Path, what: str) -> Iterator[tuple[BinaryIO, int]]:
    """The open file and its size; raises ModelError, which names it as `what`, for anything else."""
    try:
        file = plain_file.open_plain(path)
    except OSError as error:
        raise ModelError(f"{what} {printable(path)} cannot be read: {error.strerror or error}") from None
    with file:
        yield file, os.fstat(file.fileno()).st_size


def read_plain(path: Path, largest: int, what: str) -> bytes:
    """The bytes of a plain file of at most `largest` bytes; raises ModelError."""
    with open_plain(path, what) as (file, _):
        data = file.read(largest + 1)
    if len(data) > largest:
        raise ModelError(f"{what} {printable(path)} has more than {largest} bytes")
    return data
