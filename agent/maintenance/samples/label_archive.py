"""The labels in a ZIP file, as labelling tools give them: its texts alone, and nothing outside of a folder."""

from __future__ import annotations

import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath, PurePosixPath
from tempfile import TemporaryDirectory

from agent.core.errors import ConfigError
from agent.core.plain_file import open_plain
from agent.core.untrusted import DEEPEST

_SUFFIXES = {".txt", ".yaml", ".yml", ".json", ".names"}
_MOST_FILES = 1_000_000
_LARGEST = 1 << 30
"""Bytes of all texts together."""

_DRIVE = re.compile(r"[A-Za-z]:")


@contextmanager
def unpacked(archive: Path) -> Iterator[Path]:
    """A folder with the labels of `archive`, gone afterwards; ConfigError where it cannot be read.

    What is raised of a file in the folder names it as in the archive.
    """
    with TemporaryDirectory(prefix="vedette-labels-") as folder:
        try:
            with open_plain(archive) as file, zipfile.ZipFile(file) as packed:
                _unpack(packed, Path(folder))
        except (
            OSError,
            EOFError,
            ValueError,
            NotImplementedError,
            RuntimeError,
            zipfile.BadZipFile,
            zlib.error,
            lzma.LZMAError,
        ) as error:
            reason = getattr(error, "strerror", None) or str(error) or "it is cut off"
            raise ConfigError(f"cannot be read: {reason}", file=str(archive), expected="a ZIP file") from None
        try:
            yield Path(folder)
        except ConfigError as error:
            error.file = (error.file or "").replace(folder, str(archive), 1)
            raise


def is_leftover(path: PurePath) -> bool:
    """Whether a file is none of those that a person packed: macOS adds one for each, others hide theirs by a dot."""
    return path.name.startswith(".") or "__MACOSX" in path.parts


def _unpack(packed: zipfile.ZipFile, folder: Path) -> None:
    room = _LARGEST
    if len(packed.infolist()) > _MOST_FILES:
        raise ValueError(f"it has more than {_MOST_FILES} files")
    for info in packed.infolist():
        name = info.filename.replace("\\", "/")  # as .NET and so PowerShell once wrote it
        path = PurePosixPath(name)
        if name.endswith("/") or path.suffix.lower() not in _SUFFIXES or is_leftover(path):
            continue
        if path.is_absolute() or ".." in path.parts or _DRIVE.match(name):
            raise ValueError(f"{info.filename} leads out of it")
        if len(path.parts) > DEEPEST:
            raise ValueError(f"it has folders more than {DEEPEST} levels deep")
        with packed.open(info) as file:
            data = file.read(room + 1)
        room -= len(data)
        if room < 0:
            raise ValueError(f"its texts have more than {_LARGEST >> 20} MiB")
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
