"""The images of a data set: a folder, or the lists of an Ultralytics data.yaml."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.core.errors import ConfigError, MissingExtra
from agent.core.installation import how_to_add
from agent.core.plain_file import read_small, text_of
from agent.core.printable import printable
from agent.core.untrusted import parse_yaml
from agent.core.user import expanded

SUFFIXES = frozenset(
    {".avif", ".bmp", ".dng", ".heic", ".heif", ".jp2", ".jpeg", ".jpg"}
    | {".mpo", ".pfm", ".png", ".tif", ".tiff", ".webp"}
)
"""What Ultralytics takes for an image; of one that cannot be read here its user says so."""

SPLITS = ("train", "val", "test")
_OTHER_NAMES = {"val": "validation"}
_LARGEST_BYTES = 16 << 20
_LARGEST_LIST = 256 << 20  # two million paths and more


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """The images to use, evenly chosen; `left_out` is how many more there are."""

    paths: tuple[Path, ...]
    left_out: int


def images_of(data: Path, split: str = "train", *, most: int = 5000) -> Images:
    """The images in a folder (and below), or those that `split` of a data.yaml names; ConfigError where none."""
    if not data.exists():
        raise ConfigError(f"{data} is not there", file="--data", expected="a folder of images or a data.yaml")
    if most < 1:
        raise ConfigError(f"--most {most}", file="command line", expected="1 or more")
    found = list(dict.fromkeys(_in_yaml(data, split) if data.is_file() else _in_folder(data)))
    if not found:
        raise ConfigError(
            f"there is no image in {data}", file="--data", expected=f"files {', '.join(sorted(SUFFIXES))}"
        )
    step = -(-len(found) // most)
    chosen = tuple(found[::step])
    return Images(paths=chosen, left_out=len(found) - len(chosen))


def class_names(data: Path) -> tuple[str, ...]:
    """The names of the classes of a data.yaml by number, () where it has none or `data` is a folder; ConfigError."""
    if not data.is_file() or data.suffix.lower() not in {".yaml", ".yml"}:
        return ()
    names = _parse(data).get("names")
    if isinstance(names, dict) and all(_is_number(key) for key in names):
        numbered = {int(key): name for key, name in names.items()}
        names = [numbered.get(number) for number in range(len(numbered))]
    if names is None:
        return ()
    if not isinstance(names, list) or not all(isinstance(name, (str, int)) for name in names):
        raise ConfigError(
            "are not class names",
            file=str(data),
            key="names",
            expected="a list, or a name for each number from 0",
        )
    found = tuple(str(name) for name in names)
    if len({name.strip() for name in found}) < len(found):
        raise ConfigError("name a class twice", file=str(data), key="names", expected="each class once")
    return found


def keypoint_values(data: Path) -> int:
    """How many values of key points follow each box in the labels of a data.yaml (`kpt_shape`); 0 where none do."""
    if not data.is_file() or data.suffix.lower() not in {".yaml", ".yml"}:
        return 0
    shape = _parse(data).get("kpt_shape")
    if shape is None:
        return 0
    if not (
        isinstance(shape, list) and len(shape) == 2 and all(type(one) is int and one > 0 for one in shape)
    ):
        raise ConfigError(
            "is not a shape of key points", file=str(data), key="kpt_shape", expected="[points, 2 or 3]"
        )
    return int(shape[0] * shape[1])


def _is_number(key: object) -> bool:
    return str(key).isdecimal() and len(str(key)) < 10


def _in_folder(folder: Path) -> list[Path]:
    """As Ultralytics finds them: links are followed, each folder once; hidden files are none of the set."""
    found, known = [], set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in known:
            folders.clear()
            continue
        known.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(place, name) for name in files if not name.startswith(".")]
    return sorted(path for path in found if path.suffix.lower() in SUFFIXES and path.is_file())


def _in_yaml(file: Path, split: str) -> list[Path]:
    if file.suffix.lower() == ".txt":
        return _in_list(file, [file.parent, Path.cwd()])
    if file.suffix.lower() not in {".yaml", ".yml"}:
        raise ConfigError(
            f"{file} is neither a folder nor a data.yaml", file="--data", expected="one of them"
        )
    body = _parse(file)
    key = split if body.get(split) else _OTHER_NAMES.get(split, split)
    if not body.get(key):
        named = [name for name in SPLITS if body.get(name)]
        raise ConfigError(
            f"names no images under {split!r}",
            file=str(file),
            key=split,
            expected=f"--split {' or '.join(named)}" if named else "train: a folder or a list of images",
        )
    roots = _roots(file, body.get("path"))
    entries = body[key] if isinstance(body[key], list) else [body[key]]
    if not all(isinstance(entry, str) for entry in entries):
        raise ConfigError("names no images", file=str(file), key=split, expected="a folder or a list of them")
    return [image for entry in entries for image in _of_entry(file, split, entry, roots)]


def _parse(file: Path) -> dict[str, Any]:
    try:
        body = parse_yaml(text_of(read_small(file, _LARGEST_BYTES)))
    except ModuleNotFoundError:
        raise MissingExtra(
            f"reading a data.yaml needs the library 'yaml': {how_to_add('data')}, or give the folder of images"
        ) from None
    except OSError as error:
        raise _unreadable(file, error) from None
    except ValueError as error:
        raise ConfigError(f"cannot be read: {error}", file=str(file)) from None
    if not isinstance(body, dict):
        raise ConfigError(
            "is not a data.yaml", file=str(file), expected="keys such as path, train, val and names"
        )
    return body


def _unreadable(file: Path, error: OSError) -> ConfigError:
    what = f" ({printable(error.filename, 80)})" if error.filename not in (None, str(file)) else ""
    return ConfigError(f"cannot be read: {error.strerror or error}{what}", file=str(file))


def _roots(file: Path, path: object) -> list[Path]:
    """Where relative entries may start, as Ultralytics looks for them: `path`, itself beside the file or here."""
    beside = file.resolve().parent
    if not path:
        return [beside]
    given = expanded(str(path))
    return [given] if given.is_absolute() else [beside / given, Path.cwd() / given, beside]


def _of_entry(file: Path, split: str, entry: str, roots: Sequence[Path]) -> list[Path]:
    tried = [Path(entry)] if Path(entry).is_absolute() else [root / entry for root in roots]
    # Exported sets often say ../train/images though the folder lies beside the file.
    tried += [root / entry.removeprefix("../") for root in roots if entry.startswith("../")]
    for place in tried:
        if place.is_dir():
            return _in_folder(place)
        if place.is_file():
            image = place.suffix.lower() in SUFFIXES
            return [place] if image else _in_list(place, [place.parent, *roots, Path.cwd()])
    raise ConfigError(
        f"{entry!r} is not there",
        file=str(file),
        key=split,
        expected=f"a folder or a list of images at {tried[0]}",
    )


def _in_list(file: Path, beside: Sequence[Path]) -> list[Path]:
    """The images that a text file names, one a line, relative to the first of `beside` in which each is."""
    try:
        lines = [line.strip() for line in text_of(read_small(file, _LARGEST_LIST)).splitlines()]
        places = [_place(line, beside) for line in lines if line]
    except (
        OSError
    ) as error:  # of the list, or of a line that is no path: too long, in a folder that is closed to us
        raise _unreadable(file, error) from None
    return [place for place in places if place.suffix.lower() in SUFFIXES]


def _place(line: str, beside: Sequence[Path]) -> Path:
    """Where an image is, as its line says, or with the slashes of Windows; as it says where it is nowhere."""
    tried = [root / Path(text) for text in dict.fromkeys((line, line.replace("\\", "/"))) for root in beside]
    return next((place for place in tried if place.is_file()), tried[0])
