"""Labels that come back: an Ultralytics data set, or a COCO file, as labelling tools export them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.core.dataset import class_names
from agent.core.errors import ConfigError
from agent.core.untrusted import BadInput, parse_object, take_integer, take_list, take_number, take_text
from agent.maintenance.evaluation.labels import parse_labels
from agent.maintenance.samples.sample import Box, is_id

_LARGEST = 256 << 20
_MOST = 5_000_000

Labels = Mapping[str, tuple[tuple[str, Box], ...]]
"""By sample: the boxes, each with the name of its class."""


def read_labels(source: Path) -> Labels:
    """The labels in a data.yaml's folder or a COCO file; ConfigError that names the file for what cannot be read.

    Files that belong to no sample are passed over; an empty label file means that nothing is in the frame.
    """
    if source.suffix.lower() == ".json":
        return _coco(source)
    data = source if source.is_file() else source / "data.yaml"
    names = class_names(data)
    if not names:
        raise ConfigError(
            f"{source} has no class names",
            file="import-labels",
            expected="a folder with data.yaml and labels, or a COCO .json file",
        )
    files = [file for file in sorted(data.parent.rglob("*.txt")) if is_id(file.stem)]
    return {file.stem: tuple(_of_file(file, names)) for file in files}


def numbered(named: Sequence[tuple[str, Box]], classes: Sequence[str]) -> tuple[Box, ...]:
    """The boxes with the numbers that `classes`, in which all of their names are, give them."""
    numbers = {name: number for number, name in enumerate(classes)}
    return tuple(replace(box, class_id=numbers[name]) for name, box in named)


def _of_file(file: Path, names: Sequence[str]) -> list[tuple[str, Box]]:
    try:
        rows = parse_labels(file.read_text(encoding="utf-8"), len(names))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot be read: {error}", file=str(file)) from None
    return [(names[class_id], _box(x, y, width, height)) for class_id, x, y, width, height in rows]


def _coco(file: Path) -> Labels:
    try:
        body = parse_object(file.read_bytes(), largest=_LARGEST)
        names = {
            take_integer(entry, "id"): take_text(entry, "name", longest=200)
            for entry in take_list(body, "categories", longest=_MOST)
        }
        images = {
            take_integer(entry, "id"): (
                Path(take_text(entry, "file_name")).stem,
                take_number(entry, "width", minimum=1.0),
                take_number(entry, "height", minimum=1.0),
            )
            for entry in take_list(body, "images", longest=_MOST)
        }
        found: dict[str, list[tuple[str, Box]]] = {id: [] for id, _, _ in images.values() if is_id(id)}
        for entry in take_list(body, "annotations", longest=_MOST):
            id, wide, tall = images[take_integer(entry, "image_id")]
            if id in found:
                found[id].append((names[take_integer(entry, "category_id")], _of_coco(entry, wide, tall)))
    except (OSError, BadInput, KeyError, AttributeError, TypeError) as error:
        reason = f"there is no entry {error}" if isinstance(error, KeyError) else error
        raise ConfigError(f"cannot be read: {reason}", file=str(file), expected="COCO's format") from None
    return {id: tuple(boxes) for id, boxes in found.items()}


def _of_coco(entry: Mapping[str, Any], wide: float, tall: float) -> Box:
    sides = take_list(entry, "bbox", longest=4)
    left, top, width, height = (take_number({"bbox": side}, "bbox") for side in sides)
    return _box((left + width / 2) / wide, (top + height / 2) / tall, width / wide, height / tall)


def _box(x: float, y: float, width: float, height: float) -> Box:
    """The part of a box that lies in the frame."""
    left, right = (min(1.0, max(0.0, x + side * width / 2)) for side in (-1, 1))
    top, bottom = (min(1.0, max(0.0, y + side * height / 2)) for side in (-1, 1))
    return Box(
        class_id=0, x=(left + right) / 2, y=(top + bottom) / 2, width=right - left, height=bottom - top
    )
