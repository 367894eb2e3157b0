"""Every camera's references on disk, in versions, one of them in force. Writes are atomic."""

from __future__ import annotations

import gzip
import re
import stat
import zlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from agent.core.errors import ReferenceMismatch
from agent.core.nearest import nearest, unknown
from agent.core.printable import printable
from agent.core.state_dir import write_atomic
from agent.references.stored import StoredReference

FOLDER = "references"
KEEP_VERSIONS = 12
LARGEST = 16 * 1024 * 1024
"""Bytes of a file that is still read: a reference has a quarter of a megabyte."""

LARGEST_RECORDING = 256 * 1024 * 1024
"""Of a recording: a week of 20 features has 18 MB."""

CURRENT, RECORDING, JUDGE = "current", "recording.json", "judge.json"
RECENT, CHANGES, LIVING = "recent.json", "changes.json", "living.json"
SIGNATURES, GROWING = "signatures.json", "growing.json"
DAYS = tuple(f"day-{number}.json" for number in range(1, 9))
PACKED = frozenset({RECORDING, JUDGE, RECENT, LIVING, GROWING, *DAYS})
"""Written again and again: as gzip, NAME.gz, a third of the bytes. Those of an earlier version are read as they are."""

_VERSION = re.compile(r"(\d{8}T\d{6}Z)-([0-9a-f]{12})\.json")
_CAMERA = re.compile(r"[A-Za-z0-9_-]{1,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceVersion:
    """One version of a camera's reference; `made_at` is Unix time, `current`: whether it is in force."""

    camera: str
    name: str
    id: str
    made_at: float
    size: int
    current: bool


class ReferenceStore:
    """The references below a state directory. Stateless: every call reads the disk."""

    def __init__(self, state_directory: Path) -> None:
        self.path = state_directory / FOLDER

    def folder(self, camera: str) -> Path:
        """Where a camera's files are; ReferenceMismatch for a name that no camera can have, and for a link."""
        if not _CAMERA.fullmatch(camera):
            name = printable(camera, 80)
            raise ReferenceMismatch(f"'{name}' is not a camera's name; expected letters, digits, '-' and '_'")
        folder = self.path / camera
        for place in (self.path, folder):
            if place.is_symlink():
                raise ReferenceMismatch(f"{place} is a link, and references are kept in folders: remove it")
        return folder

    def cameras(self) -> list[str]:
        """The cameras that have files here."""
        if not self.path.is_dir():
            return []
        return sorted(
            path.name
            for path in self.path.iterdir()
            if _CAMERA.fullmatch(path.name) and path.is_dir() and not path.is_symlink()
        )

    def versions(self, camera: str) -> list[ReferenceVersion]:
        """All versions, the oldest first."""
        folder = self.folder(camera)
        current = self._current_name(folder)
        return [
            ReferenceVersion(
                camera=camera,
                name=path.name,
                id=path.stem.partition("-")[2],
                made_at=made_at,
                size=path.lstat().st_size,
                current=path.name == current,
            )
            for path, made_at in _version_files(folder)
        ]

    def in_force(self, camera: str) -> str:
        """The name of the version in force, "" where there is none: by it is seen whether another one is since."""
        try:
            return self._current_name(self.folder(camera))
        except ReferenceMismatch:
            return ""

    def find(self, camera: str, id: str = "") -> ReferenceVersion:
        """The version whose id begins so; without an id, the one in force. ReferenceMismatch where there is none."""
        versions = self.versions(camera)
        if not versions:
            others = [name for name in self.cameras() if self.versions(name)]
            if nearest(camera, others):
                raise ReferenceMismatch(unknown("reference of camera", camera, others))
            raise ReferenceMismatch(
                f"camera {camera!r} has no reference; `vedette reference record --camera {camera} --for 24h` makes one"
            )
        matches = [version for version in versions if (version.id.startswith(id) if id else version.current)]
        if not matches:
            matches = [version for version in versions if self._has_id(version, id)]
        if len(matches) == 1:
            return matches[0]
        ids = ", ".join(version.id for version in versions)
        what = "several references" if matches else "no reference"
        raise ReferenceMismatch(f"camera {camera!r} has {what} '{printable(id, 40)}'; there are {ids}")

    def _has_id(self, version: ReferenceVersion, id: str) -> bool:
        """Whether its content has that id: an earlier version named files by another."""
        with suppress(ReferenceMismatch):
            return StoredReference.from_text(self.text(version)).id == id
        return False

    def text(self, version: ReferenceVersion) -> str:
        """What is in a version's file; ReferenceMismatch where it cannot be read."""
        return read_text(self.folder(version.camera) / version.name)

    def load(self, camera: str, id: str = "") -> StoredReference:
        """A version's content; ReferenceMismatch, naming the file, where there is none or it is damaged."""
        version = self.find(camera, id)
        return parse_file(self.folder(camera) / version.name, self.text(version))

    def put(
        self, camera: str, stored: StoredReference, *, replaces: str = "", keep: str = ""
    ) -> ReferenceVersion:
        """Add a version and put it in force; `replaces` (an id) goes, where it was only the beginning of this one, and
        `keep` (an id) stays, however many there are."""
        folder = self.folder(camera)
        stamp = datetime.fromtimestamp(stored.reference.origin.made_at, timezone.utc).strftime(
            "%Y%m%dT%H%M%SZ"
        )
        name = f"{stamp}-{stored.id}.json"
        before = self._current_name(folder)
        self._write(folder / name, stored.to_text().encode())
        self._write(folder / CURRENT, name.encode())
        for version in self.versions(camera):
            if replaces and version.id == replaces and version.name != name:
                (folder / version.name).unlink(missing_ok=True)
        self._prune(camera, before, keep)  # whoever regrets the new one goes back to it
        return self.find(camera, stored.id)

    def roll_back(self, camera: str, id: str = "") -> ReferenceVersion:
        """Put an older version in force: that with `id`, else the one before the current; nothing is deleted."""
        if id:
            chosen = self.find(camera, id)
        else:
            current, versions = self.find(camera), self.versions(camera)
            before = [version for version in versions if version.name < current.name]
            if not before:
                raise ReferenceMismatch(f"camera {camera!r}: {current.id} is the oldest reference there is")
            chosen = before[-1]
        self._write(self.folder(camera) / CURRENT, chosen.name.encode())
        return self.find(camera, chosen.id)

    def remove(self, camera: str, id: str) -> ReferenceVersion:
        """Delete a version; if it was in force, the newest of the others is now."""
        gone = self.find(camera, id)
        folder = self.folder(camera)
        others = [version for version in self.versions(camera) if version.name != gone.name]
        if gone.current:
            if others:
                self._write(folder / CURRENT, others[-1].name.encode())
            else:
                (folder / CURRENT).unlink(missing_ok=True)
        (folder / gone.name).unlink(missing_ok=True)
        return gone

    # -- what else lies beside them ---------------------------------------------------------------------

    def write(self, camera: str, name: str, text: str) -> None:
        """Write one of the files that are no versions."""
        path = self.folder(camera) / name
        if name not in PACKED:
            self._write(path, text.encode())
            return
        self._write(_packed(path), gzip.compress(text.encode(), compresslevel=6, mtime=0))
        path.unlink(missing_ok=True)

    def read(self, camera: str, name: str) -> str | None:
        """Read one of the files that are no versions; None where it is not there."""
        path = self.folder(camera) / name
        for place in (path, _packed(path)):
            if place.is_symlink():
                raise ReferenceMismatch(f"{place} is a link, and no file of ours: remove it")
        if path.exists():  # written by an earlier version, after a rollback too: then it is the newer one
            return read_text(path, LARGEST_RECORDING)
        return _unpacked(_packed(path)) if _packed(path).exists() else None

    def delete(self, camera: str, name: str) -> None:
        """Delete one of the files that are no versions."""
        path = self.folder(camera) / name
        path.unlink(missing_ok=True)
        _packed(path).unlink(missing_ok=True)

    def _current_name(self, folder: Path) -> str:
        names = [path.name for path, _ in _version_files(folder)]
        with suppress(ReferenceMismatch):
            named = "" if (folder / CURRENT).is_symlink() else read_text(folder / CURRENT).strip()
            if named in names:
                return named
        return (
            names[-1] if names else ""
        )  # the pointer is lost or points nowhere: the newest is the best guess

    def _prune(self, camera: str, before: str, keep: str) -> None:
        versions = self.versions(camera)
        for version in versions[: max(0, len(versions) - KEEP_VERSIONS)]:
            if not version.current and version.name != before and version.id != keep:
                (self.folder(camera) / version.name).unlink(missing_ok=True)

    def _write(self, path: Path, data: bytes) -> None:
        write_atomic(path, data)


def read_text(path: Path, largest: int = LARGEST) -> str:
    """A text file of bounded size; ReferenceMismatch, naming it, where it cannot be read."""
    return _text(path, _read_bytes(path, largest))


def _text(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ReferenceMismatch(f"{path}: not a reference: it is not text") from error


def _packed(path: Path) -> Path:
    return path.with_name(f"{path.name}.gz")


def _unpacked(path: Path) -> str:
    """The text in a gzip file; ReferenceMismatch, naming it, where it is damaged or unpacks to more than is read."""
    unpacking = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        data = unpacking.decompress(_read_bytes(path, LARGEST_RECORDING), LARGEST_RECORDING)
    except zlib.error as error:
        raise ReferenceMismatch(f"{path}: damaged: {error}") from None
    if not unpacking.eof:
        raise ReferenceMismatch(f"{path}: damaged, or too large to be a reference")
    return _text(path, data)


def _read_bytes(path: Path, largest: int) -> bytes:
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise ReferenceMismatch(f"{path}: a folder; expected the file of a reference")
        if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for, a device read without end
            raise ReferenceMismatch(f"{path}: no plain file; expected that of a reference")
        if found.st_size > largest:
            raise ReferenceMismatch(f"{path}: too large to be a reference")
        with path.open("rb") as file:
            return file.read(largest)
    except OSError as error:
        raise ReferenceMismatch(f"{path}: {error.strerror or error}") from error


def parse_file(path: Path, text: str) -> StoredReference:
    """The reference in a file's text; ReferenceMismatch that names the file."""
    try:
        return StoredReference.from_text(text)
    except ReferenceMismatch as error:
        raise ReferenceMismatch(f"{path}: {error}") from error


def _version_files(folder: Path) -> list[tuple[Path, float]]:
    """Plain files whose names are those of versions, with the time they name, the oldest first."""
    if not folder.is_dir():
        return []
    named = [(path, _made_at(path.name)) for path in folder.iterdir() if _VERSION.fullmatch(path.name)]
    return sorted(
        (path, made_at)
        for path, made_at in named
        if made_at is not None and not path.is_symlink() and path.is_file()
    )


def _made_at(name: str) -> float | None:
    """The Unix time that a version's name begins with; None where that is no date."""
    year, month, day = int(name[:4]), int(name[4:6]), int(name[6:8])
    try:
        made = datetime(
            year, month, day, int(name[9:11]), int(name[11:13]), int(name[13:15]), tzinfo=timezone.utc
        )
    except ValueError:
        return None
    return made.timestamp()
