"""The images of a data set: a folder, or the lists of an Ultralytics data.yaml."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.core.errors import ConfigError, MissingExtra
from agent.core.installation import how_to_add
from agent.core.untrusted import parse_yaml
from agent.core.user import expanded

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
SPLITS = ("train", "val", "test")


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
            "are no class names",
            file=str(data),
            key="names",
            expected="a list, or a name for each number from 0",
        )
    found = tuple(str(name) for name in names)
    if len({name.strip().casefold() for name in found}) < len(found):
        raise ConfigError("name a class twice", file=str(data), key="names", expected="each class once")
    return found


def _is_number(key: object) -> bool:
    return str(key).isdecimal() and len(str(key)) < 10


def _in_folder(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def _in_yaml(file: Path, split: str) -> list[Path]:
    if file.suffix.lower() == ".txt":
        return _in_list(file, file.parent)
    if file.suffix.lower() not in {".yaml", ".yml"}:
        raise ConfigError(
            f"{file} is neither a folder nor a data.yaml", file="--data", expected="one of them"
        )
    body = _parse(file)
    if split not in body or not body[split]:
        named = [name for name in SPLITS if body.get(name)]
        raise ConfigError(
            f"names no images under {split!r}",
            file=str(file),
            key=split,
            expected=f"--split {' or '.join(named)}" if named else "train: a folder or a list of images",
        )
    roots = _roots(file, body.get("path"))
    entries = body[split] if isinstance(body[split], list) else [body[split]]
    if not all(isinstance(entry, str) for entry in entries):
        raise ConfigError("names no images", file=str(file), key=split, expected="a folder or a list of them")
    return [image for entry in entries for image in _of_entry(file, split, entry, roots)]


def _parse(file: Path) -> dict[str, Any]:
    try:
        body = parse_yaml(file.read_text(encoding="utf-8"))
    except ModuleNotFoundError:
        raise MissingExtra(
            f"reading a data.yaml needs the library 'yaml': {how_to_add('data')}, or give the folder of images"
        ) from None
    except ValueError as error:
        raise ConfigError(f"cannot be read: {error}", file=str(file)) from None
    if not isinstance(body, dict):
        raise ConfigError(
            "is no data.yaml", file=str(file), expected="keys such as path, train, val and names"
        )
    return body


def _roots(file: Path, path: object) -> list[Path]:
    """Where relative entries may start, as Ultralytics looks for them: `path`, itself beside the file or here."""
    beside = file.resolve().parent
    if not path:
        return [beside]
    given = expanded(str(path))
    return [given] if given.is_absolute() else [beside / given, Path.cwd() / given, beside]


def _of_entry(file: Path, split: str, entry: str, roots: Iterable[Path]) -> list[Path]:
    tried = [Path(entry)] if Path(entry).is_absolute() else [root / entry for root in roots]
    # Exported sets often say ../train/images though the folder lies beside the file.
    tried += [root / entry.removeprefix("../") for root in roots if entry.startswith("../")]
    for place in tried:
        if place.is_dir():
            return _in_folder(place)
        if place.is_file():
            return _in_list(place, place.parent)
    raise ConfigError(
        f"{entry!r} is not there",
        file=str(file),
        key=split,
        expected=f"a folder or a list of images at {tried[0]}",
    )


def _in_list(file: Path, beside: Path) -> list[Path]:
    """The images that a text file names, one a line; `./` means beside the file."""
    lines = [line.strip() for line in file.read_text(encoding="utf-8", errors="replace").splitlines()]
    places = [Path(line) if Path(line).is_absolute() else beside / line for line in lines if line]
    return [place for place in places if place.suffix.lower() in SUFFIXES]
