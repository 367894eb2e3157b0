"""Imports labels as labelling tools export them: YOLO with class names, COCO, Label Studio, zipped or not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from agent.core.dataset import class_names, keypoint_values
from agent.core.errors import ConfigError
from agent.core.plain_file import read_small, text_of
from agent.core.printable import printable
from agent.core.untrusted import (
    BadInput,
    parse_json,
    take_integer,
    take_list,
    take_number,
    take_object,
    take_objects,
    take_text,
)
from agent.maintenance.evaluation.labels import parse_labels
from agent.maintenance.samples.label_archive import is_leftover, unpacked
from agent.maintenance.samples.label_names import by_sample, may_name_sample
from agent.maintenance.samples.label_studio import Corners, stem_of, tasks
from agent.maintenance.samples.sample import MOST_BOXES, Box

_LARGEST = 256 << 20
_MOST = 5_000_000
_Read = TypeVar("_Read")

_CROWD = (1, True, "1")
"""Of `iscrowd`, which some tools write as text."""

_TURNED = 0.02
"""By how much the shape of an image may be off, of which it is said that it is turned."""

Sizes = Mapping[str, tuple[int, int]]
"""Width and height of the samples, by id."""

LabelledBoxes = Mapping[str, tuple[tuple[str, Box], ...]]
"""By the stem of a file's name (see `label_names.by_sample`): the boxes, each with the name of its class."""

_EXPECTED = (
    "YOLO's labels with data.yaml, classes.txt or obj.names; a .json of COCO or Label Studio; or a .zip of it"
)
_NAME_FILES = ("classes.txt", "obj.names", "labels/classes.txt")
"""Of Label Studio and of CVAT's YOLO 1.1; some tools lay it beside the labels."""


def read_labels(source: Path, sizes: Sizes | None = None) -> LabelledBoxes:
    """The labels in a folder, a .json or a .zip file; ConfigError that names the file for what cannot be read.

    Files that can be of no sample are passed over; an empty label file means that nothing is in the frame. Where COCO
    says of one of the samples, whose `sizes` these are, that it is turned, its boxes would lie elsewhere: ConfigError.
    """
    known = sizes or {}
    if source.suffix.lower() == ".zip":
        with unpacked(source) as folder:
            return _of_folder(_only_folder(folder), str(source), known)
    if source.suffix.lower() == ".json":
        return _of_json(source, known)
    if source.is_file():
        return _of_texts(source.parent, class_names(source), str(source), keypoint_values(source))
    return _of_folder(source, str(source), known)


def _only_folder(folder: Path) -> Path:
    """The folder itself, or the one in it that has all."""
    while len(inside := list(folder.iterdir())) == 1 and inside[0].is_dir():
        (folder,) = inside
    return folder


def _of_folder(folder: Path, shown: str, sizes: Sizes) -> LabelledBoxes:
    names, points = class_names(folder / "data.yaml"), keypoint_values(folder / "data.yaml")
    for file in () if names else _NAME_FILES:
        names = names or _listed(folder / file)
    if not names and (found := _collected(folder)):
        return _once((stem, boxes) for one in found for stem, boxes in _of_json(one, sizes).items())
    return _of_texts(folder, names, shown, points)


def _collected(folder: Path) -> list[Path]:
    """The files that hold the labels of all images: here and in `annotations`, else one for each split below."""
    here = [*_files(folder.glob("*"), ".json"), *_files(folder.glob("annotations/*"), ".json")]
    found = here or _files(folder.rglob("*"), ".json")
    return [one for one in found if one.name != "notes.json"]


def _files(paths: Iterable[Path], suffix: str) -> list[Path]:
    return sorted(one for one in paths if one.suffix.lower() == suffix and not is_leftover(one))


def _once(found: Iterable[tuple[str, tuple[tuple[str, Box], ...]]]) -> LabelledBoxes:
    """The labels by stem; ConfigError where files of one name, in two folders, do not say the same."""
    labels: dict[str, tuple[tuple[str, Box], ...]] = {}
    for stem, boxes in found:
        if labels.setdefault(stem, boxes) != boxes:
            raise ConfigError(
                f"two files of the name {printable(stem)} have other labels",
                file="import-labels",
                expected="each image once: the labels of one person, in one export",
            )
    return labels


def _of_texts(folder: Path, names: Sequence[str], shown: str, points: int) -> LabelledBoxes:
    if not names:
        there = "has no class names" if folder.exists() else "is not there, so it has no class names"
        raise ConfigError(f"{shown} {there}", file="import-labels", expected=_EXPECTED)
    files = [file for file in _files(folder.rglob("*"), ".txt") if may_name_sample(file.stem)]
    return _once((file.stem, _of_file(file, names, points)) for file in files)


def _listed(file: Path) -> tuple[str, ...]:
    """The names in a file with one a line, () where there is no such file."""
    try:
        text = text_of(read_small(file, _LARGEST))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error}", file=str(file)) from None
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _of_json(file: Path, sizes: Sizes) -> LabelledBoxes:
    try:
        body = parse_json(text_of(read_small(file, _LARGEST)), largest=_LARGEST)
        if isinstance(body, list):
            return _once(
                (stem, _in_frame(stem, boxes)) for stem, boxes in tasks(body) if may_name_sample(stem)
            )
        return _coco(take_object({"file": body}, "file"), sizes)
    except (OSError, BadInput, KeyError) as error:
        reason = getattr(error, "strerror", None) or error
        reason = f"there is no entry {error}" if isinstance(error, KeyError) else reason
        expected = "COCO's format, or Label Studio's JSON"
        raise ConfigError(f"cannot be read: {reason}", file=str(file), expected=expected) from None


def numbered(named: Sequence[tuple[str, Box]], classes: Sequence[str]) -> tuple[Box, ...]:
    """The boxes with the numbers that `classes`, in which all of their names are, give them."""
    numbers = {name: number for number, name in enumerate(classes)}
    return tuple(replace(box, class_id=numbers[name]) for name, box in named)


def _of_file(file: Path, names: Sequence[str], points: int) -> tuple[tuple[str, Box], ...]:
    try:
        rows = parse_labels(text_of(read_small(file, _LARGEST)), len(names), points)
        return _in_frame(file.stem, [(names[class_id], _corners(*sides)) for class_id, *sides in rows])
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot be read: {reason}", file=str(file)) from None


def _coco(body: Mapping[str, Any], sizes: Sizes) -> LabelledBoxes:
    """The boxes of each image; a `crowd` is a region of many objects that nobody counted, and no box of one."""
    names = _by_id(body, "categories", lambda entry: take_text(entry, "name", longest=200).strip())
    if "" in names.values():
        raise BadInput("a category has an empty `name`")
    images = _by_id(
        body,
        "images",
        lambda entry: (
            stem_of(take_text(entry, "file_name")),
            take_number(entry, "width", minimum=1.0),
            take_number(entry, "height", minimum=1.0),
        ),
    )
    said = {stem: (wide, tall) for stem, wide, tall in images.values()}
    for sample, size in by_sample(said, sizes).items():
        _refuse_turned(sample, size, sizes[sample])
    found: dict[int | str, list[tuple[str, Corners]]] = {
        id: [] for id, (stem, _, _) in images.items() if may_name_sample(stem)
    }
    for entry in take_objects(body, "annotations", longest=_MOST):
        id = _id(entry, "image_id")
        _, wide, tall = images[id]
        if id in found and entry.get("iscrowd") not in _CROWD:
            found[id].append((names[_id(entry, "category_id")], _of_coco(entry, wide, tall)))
    return _once((images[id][0], _in_frame(images[id][0], boxes)) for id, boxes in found.items())


def _refuse_turned(sample: str, said: tuple[float, float], size: tuple[int, int]) -> None:
    shape, turned = size[0] / size[1], size[1] / size[0]
    told = said[0] / said[1]
    if abs(told / turned - 1.0) < _TURNED < abs(told / shape - 1.0):
        raise BadInput(
            f"says that {sample} has {said[0]:g}×{said[1]:g} pixels, and it has {size[0]}×{size[1]}: it was turned; "
            "turn it back in the tool, and export again"
        )


def _by_id(
    body: Mapping[str, Any], key: str, read: Callable[[Mapping[str, Any]], _Read]
) -> dict[int | str, _Read]:
    """What `read` makes of each entry at `key`, by its `id`; BadInput where two of one id do not say the same."""
    found: dict[int | str, _Read] = {}
    for entry in take_objects(body, key, longest=_MOST):
        id, value = _id(entry, "id"), read(entry)
        if found.setdefault(id, value) != value:
            raise BadInput(f"`{key}` has two entries of the `id` {printable(id, 40)}")
    return found


def _id(entry: Mapping[str, Any], key: str) -> int | str:
    """COCO's are numbers; some tools write them as text."""
    value: int | str = take_text(entry, key) if isinstance(entry.get(key), str) else take_integer(entry, key)
    return value


def _of_coco(entry: Mapping[str, Any], wide: float, tall: float) -> Corners:
    sides = take_list(entry, "bbox", [], longest=4)
    if len(sides) == 4:
        left, top, width, height = (take_number({"bbox": side}, "bbox") for side in sides)
        return left / wide, top / tall, (left + width) / wide, (top + height) / tall
    points = _outline(entry)
    if sides or not points:
        raise BadInput("an annotation has neither a `bbox` of four numbers nor a polygon: export boxes")
    xs, ys = points[::2], points[1::2]
    return min(xs) / wide, min(ys) / tall, max(xs) / wide, max(ys) / tall


def _outline(entry: Mapping[str, Any]) -> list[float]:
    """The x and y of all points of a polygon, [] of a mask."""
    parts = entry.get("segmentation")
    polygons = [one for one in parts if isinstance(one, list)] if isinstance(parts, list) else []
    return [take_number({"segmentation": value}, "segmentation") for one in polygons for value in one]


def _corners(x: float, y: float, width: float, height: float) -> Corners:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _in_frame(stem: str, boxes: Sequence[tuple[str, Corners]]) -> tuple[tuple[str, Box], ...]:
    """What lies in the frame of boxes in shares of it, each once; nothing of one without width or height there, which
    is a slip of the mouse. BadInput for what is no box, and for more than a sample may have."""
    found: dict[tuple[str, Box], None] = {}
    for name, corners in boxes:
        left, top, right, bottom = (min(1.0, max(0.0, side)) for side in corners)
        if corners[0] > corners[2] or corners[1] > corners[3]:
            raise BadInput(f"a box of {printable(stem)} has a negative width or height")
        if left < right and top < bottom:
            box = Box(
                class_id=0,
                x=(left + right) / 2,
                y=(top + bottom) / 2,
                width=right - left,
                height=bottom - top,
            )
            found[name, box] = None
    if len(found) > MOST_BOXES:
        raise BadInput(f"{printable(stem)} has {len(found)} boxes; at most {MOST_BOXES} are kept")
    return tuple(found)
