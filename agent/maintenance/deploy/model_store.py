"""The models that were deployed, on disk as SHA256/NAME.onnx: bounded, and what is in force or needed stays.

A model is copied to `incoming`, hashed while it is copied, synced, and only then given its place: a file below its
digest is whole. What a power cut leaves in `incoming` is removed at the next start, a part of a download at one
that is a day later.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from agent.core import clock
from agent.core.errors import ModelError
from agent.core.printable import printable
from agent.core.state_dir import sync_directory
from agent.maintenance.deploy.plain_file import open_plain
from agent.maintenance.deploy.signing import is_digest
from agent.maintenance.deploy.state import ModelVersion

FOLDER = "models"
INCOMING = "incoming"
MOST_MODELS = 4
"""Models that are kept: the one in force, the one before it, one on its way, and one that was returned."""

LARGEST = 2**31 - 1
UPLOAD = ".upload"
"""The ending of a file in `incoming` that a command put there for the agent."""

_COPY = ".copy"
_UPLOAD_SECONDS = 86400.0
_BLOCK = 1 << 20
_SPARE_BYTES = 64 << 20
"""Bytes of the disk that a copy leaves free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """A file in `incoming` and the sha256 of what is in it."""

    path: Path
    sha256: str
    size: int


class ModelStore:
    """The store below a state directory. Belongs to one thread, but for `path`."""

    def __init__(self, state_directory: Path) -> None:
        self.folder = state_directory / FOLDER
        self.incoming = self.folder / INCOMING

    def path(self, model: ModelVersion) -> Path:
        """Where a model is, or would be; ModelError for what has no digest, or no name that a file may have here."""
        if not is_digest(model.sha256) or file_stem(model.name) != model.name:
            raise ModelError(
                f"'{printable(model.sha256, 80)} {printable(model.name, 80)}' is not a model of the store"
            )
        return self.folder / model.sha256 / f"{model.name}.onnx"

    def open(self, needed: Collection[str]) -> None:
        """Make the folders, and remove what a broken deployment left; raises OSError."""
        for folder in (self.folder, self.incoming):
            if folder.is_symlink():
                raise ModelError(f"{folder} is a link, and models are kept in a folder: remove it")
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self.incoming.iterdir():
            if left.suffix == _COPY or _age(left) < clock.unix_now() - _UPLOAD_SECONDS:
                left.unlink(missing_ok=True)
        self.prune(needed)

    def copy(self, source: Path, largest: int, beat: Callable[[], None] = lambda: None) -> Copied:
        """Copy a plain file of at most `largest` bytes to `incoming`; raises ModelError, for a full disk too."""
        with open_plain(source, "model") as (file, size):
            check_size(source.name, size, largest)
            self.check_space(size)
            try:
                return self.receive(file, source.name, _COPY, largest, beat)
            except OSError as error:
                raise ModelError(f"model {source} cannot be copied: {error.strerror or error}") from None

    def collect(self, source: Path, largest: int, beat: Callable[[], None] = lambda: None) -> Copied:
        """The same of what was fetched: an upload goes whatever comes of it, a download once it was copied."""
        copied = None
        try:
            copied = self.copy(source, largest, beat)
            return copied
        finally:
            if source.parent == self.incoming and (copied is not None or source.suffix == UPLOAD):
                source.unlink(missing_ok=True)

    def receive(
        self,
        file: BinaryIO,
        name: str,
        suffix: str = UPLOAD,
        largest: int = LARGEST,
        beat: Callable[[], None] = lambda: None,
    ) -> Copied:
        """Write what is in an open file to `incoming`; raises OSError, and ModelError for over `largest` bytes."""
        self.incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = self.incoming / f"{secrets.token_hex(8)}{suffix}"
        try:
            return self._copied(file, name, target, largest, beat)
        except BaseException:
            target.unlink(missing_ok=True)
            raise

    def take_in(self, copied: Copied, model: ModelVersion) -> Path:
        """Give a copy its place as `model`, on disk for good; raises OSError."""
        target = self.path(model)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        sync_directory(self.folder)
        copied.path.replace(target)
        sync_directory(target.parent)
        return target

    def discard(self, copied: Copied) -> None:
        """Remove a copy that was refused."""
        with suppress(OSError):
            copied.path.unlink(missing_ok=True)

    def prune(self, needed: Collection[str]) -> None:
        """Remove models beyond MOST_MODELS, the oldest first; those `needed` stay, however many they are."""
        spare = [path for path in self.folder.iterdir() if is_digest(path.name) and path.name not in needed]
        spare.sort(key=_age)
        kept = max(0, MOST_MODELS - len(needed))
        for path in spare[: max(0, len(spare) - kept)]:
            shutil.rmtree(path, ignore_errors=True)  # (it follows no links)

    def check_space(self, size: int) -> None:
        """Raise ModelError where the disk has no room for `size` more bytes."""
        disk = os.statvfs(self.folder)
        free = disk.f_bavail * disk.f_frsize
        if free < size + _SPARE_BYTES:
            raise ModelError(
                f"the disk of {self.folder} has {free >> 20} MiB free; the model needs {size >> 20} MiB, and "
                f"{_SPARE_BYTES >> 20} MiB are left free"
            )

    def _copied(
        self, file: BinaryIO, name: str, target: Path, largest: int, beat: Callable[[], None]
    ) -> Copied:
        state, size = hashlib.sha256(), 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(target, flags, 0o600), "wb") as out:
            while block := file.read(_BLOCK):
                size += len(block)
                check_size(name, size, largest)  # it may grow while it is read
                self.check_space(len(block))
                state.update(block)
                out.write(block)
                beat()
            out.flush()
            os.fsync(out.fileno())
        return Copied(path=target, sha256=state.hexdigest(), size=size)


def file_stem(name: str) -> str:
    """A file's name, without `.onnx`, as it may be in the store: letters, digits, `.`, `-` and `_`.

    >>> file_stem("../yard cam.v2.onnx")
    'yard_cam.v2'
    """
    return re.sub(r"[^A-Za-z0-9._-]", "_", Path(name).name.removesuffix(".onnx")).lstrip(".")[:100] or "model"


def check_size(name: str, size: int, largest: int) -> None:
    """Raise ModelError for an empty file, and for one over the limit."""
    if not size:
        raise ModelError(f"model {printable(name)} is empty")
    if size > largest:
        raise ModelError(
            f"model {printable(name)} has over {largest} bytes, the limit of [deploy] largest_model"
        )


def _age(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0
