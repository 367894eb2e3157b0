"""Samples on disk: an image and a JSON file each, below `samples/CAMERA/DAY` of the state directory.

An image is NAME.jpg, or NAME.sealed where it is encrypted.

The JSON file is written last: without it an image is no sample, and is removed at the next start. When all of them take
more than `size` bytes, or are older than `keep` seconds, the oldest go first, those that somebody labelled last.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from agent.core.errors import VedetteError
from agent.core.plain_file import read_small
from agent.core.state_dir import locked, write_atomic
from agent.core.untrusted import BadInput, parse_object
from agent.maintenance.samples.sample import Box, Sample, from_json, is_id, to_json

log = structlog.get_logger("vedette.samples")

FOLDER = "samples"
_CLASSES = "classes.json"
_LABELLED = "labelled"
_LARGEST = 1 << 22
_LARGEST_CLASSES = 1 << 26  # a model of ten thousand classes has up to 2 MB of names
_SEALED = ".sealed"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSample:
    """A sample, its image file, and the bytes that both files take."""

    sample: Sample
    image: Path
    size: int

    @property
    def sealed(self) -> bool:
        """Whether the image is encrypted, so that nobody here can read it."""
        return self.image.suffix == _SEALED


class SampleStore:
    """The samples in a state directory; several may read, one process adds."""

    def __init__(self, state_directory: Path) -> None:
        self.folder = state_directory / FOLDER

    def put(self, sample: Sample, data: bytes, *, sealed: bool = False) -> None:
        """Keep a sample, `data` its JPEG or that encrypted; after a crash it is there as a whole or not at all.

        Raises OSError.
        """
        image = self._image(sample)
        image = image.with_suffix(_SEALED) if sealed else image
        try:
            write_atomic(image, data)
            self._write(image, sample)
        except OSError:
            with suppress(OSError):
                image.unlink(missing_ok=True)
            raise

    def samples(self, camera: str = "") -> Iterator[StoredSample]:
        """All that can be read, of one camera or all, oldest first within a camera."""
        for file in sorted(self.folder.glob(f"{camera or '*'}/[0-9]*/*.json")):
            kept = self._read(file)
            if kept is not None:
                yield kept

    def label(self, kept: StoredSample, labels: tuple[Box, ...]) -> None:
        """Keep the labels of a sample, in place of those that it had; raises OSError."""
        self._write(kept.image, replace(kept.sample, labels=labels))
        (self.folder / _LABELLED).touch(mode=0o600)

    def labelled_at(self) -> int:
        """Another number after each time that a sample was labelled; 0 where none ever was."""
        try:
            return (self.folder / _LABELLED).stat().st_mtime_ns
        except OSError:
            return 0

    def remove(self, kept: StoredSample) -> None:
        """Delete a sample, and its folders where they are empty then; raises OSError."""
        kept.image.with_suffix(".json").unlink(missing_ok=True)
        kept.image.unlink(missing_ok=True)
        for folder in (kept.image.parent, kept.image.parent.parent):
            with suppress(OSError):
                folder.rmdir()

    def size(self) -> int:
        """The bytes that all samples take, without reading them."""
        return sum(map(_bytes_of, self.folder.glob("*/[0-9]*/*")))

    def bound(self, size: int, oldest: float) -> list[StoredSample]:
        """Delete what was captured before `oldest` (Unix time) or takes more than `size` bytes in all; what went."""
        there = sorted(
            self.samples(), key=lambda one: (one.sample.labels is not None, one.sample.captured_at)
        )
        total, gone = sum(one.size for one in there), []
        for one in there:
            if total > size or (one.sample.captured_at < oldest and one.sample.labels is None):
                self.remove(one)
                total -= one.size
                gone.append(one)
        return gone

    def clean(self) -> None:
        """Delete what a crash left: images without a sample, files half written."""
        for file in self.folder.glob("*/[0-9]*/*"):
            whole = file.suffix == ".json" or file.with_suffix(".json").exists()
            if not whole or file.name.startswith("."):
                with suppress(OSError):
                    file.unlink()

    def set_classes(self, model: str, names: tuple[str, ...]) -> None:
        """Keep the class names of a model, and those that labels added to them; raises OSError.

        A file that is damaged is set aside, and begun anew.
        """
        with self._changing_classes() as known:
            known[model] = (*names, *known.get(model, ())[len(names) :])

    def add_classes(self, model: str, names: tuple[str, ...], added: Iterable[str]) -> tuple[str, ...]:
        """A model's class names by number, once each of `added` has one; raises OSError.

        `names` are those of the model, where none are kept yet. Another process may have added some meanwhile: each
        name keeps the number that it was given first, which labels are written with.
        """
        with self._changing_classes() as known:
            before = known.get(model, ())
            kept = (*before, *names[len(before) :])
            known[model] = (*kept, *(name for name in dict.fromkeys(added) if name not in kept))
            return known[model]

    @contextmanager
    def _changing_classes(self) -> Iterator[dict[str, tuple[str, ...]]]:
        """The class names by model, to be changed; no other process changes them meanwhile."""
        file = self.folder / _CLASSES
        with locked(file.with_suffix(".lock")):
            try:
                known = self._read_classes(file)
            except BadInput as error:
                aside = file.with_suffix(".damaged")
                file.replace(aside)
                log.error(
                    "the class names of the samples so far are damaged", file=str(aside), reason=str(error)
                )
                known = {}
            before = dict(known)
            yield known
            if known != before:
                write_atomic(file, json.dumps(known, ensure_ascii=False).encode())

    def classes(self) -> dict[str, tuple[str, ...]]:
        """Class names by model, in the order of their numbers; VedetteError where there is a file that is damaged."""
        file = self.folder / _CLASSES
        try:
            return self._read_classes(file)
        except (OSError, BadInput) as error:
            reason = getattr(error, "strerror", None) or error
            raise VedetteError(
                f"{file} cannot be read: {reason}; it has the class names of the samples: put it back from a backup, "
                "or remove it, and classes are called by their numbers"
            ) from None

    @staticmethod
    def _read_classes(file: Path) -> dict[str, tuple[str, ...]]:
        try:
            body = parse_object(read_small(file, _LARGEST_CLASSES), largest=_LARGEST_CLASSES)
        except FileNotFoundError:
            return {}
        if not all(isinstance(names, list) for names in body.values()):
            raise BadInput("the names of a model's classes are no list")
        return {model: tuple(map(str, names)) for model, names in body.items()}

    def _image(self, sample: Sample) -> Path:
        if not is_id(sample.id):
            raise BadInput("`id` is not a sample's")
        day = sample.id.removeprefix(f"{sample.camera}-")[:8]
        return self.folder / sample.camera / day / f"{sample.id}.jpg"

    def _write(self, image: Path, sample: Sample) -> None:
        body = json.dumps(to_json(sample), separators=(",", ":"))
        write_atomic(image.with_suffix(".json"), body.encode())

    def _read(self, file: Path) -> StoredSample | None:
        image = next(
            (one for one in map(file.with_suffix, (".jpg", _SEALED)) if one.exists()),
            file.with_suffix(".jpg"),
        )
        try:
            text = file.read_bytes()
            sample = from_json(parse_object(text, largest=_LARGEST))
            if sample.id != file.stem or sample.camera != file.parent.parent.name:
                raise BadInput("it is another sample's")
            if image.is_symlink():
                raise BadInput("its image is a link")
            return StoredSample(sample=sample, image=image, size=image.stat().st_size + len(text))
        except FileNotFoundError:
            return None
        except (OSError, BadInput) as error:
            log.warning("sample left out", file=file.name, reason=str(error))
            return None


def _bytes_of(file: Path) -> int:
    """None of one that a command deletes meanwhile."""
    with suppress(OSError):
        return file.lstat().st_size
    return 0
