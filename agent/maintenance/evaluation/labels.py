"""Labelled images as YOLO data sets keep them: beside each image a text file with a line a box.

A line is `class cx cy width height` in shares of the image, with key points after it where the data.yaml names a
`kpt_shape`, or `class x y x y x y ...`, a polygon. The text file of `.../images/a/b.jpg` is `.../labels/a/b.txt`; an
image without one shows no object. A box without width or height is no object: a slip of the mouse.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.core.dataset import images_of, keypoint_values
from agent.core.errors import ConfigError
from agent.core.plain_file import read_small
from agent.core.printable import printable

_LARGEST_BYTES = 4 << 20
_BEYOND = 0.01
"""How far a coordinate may lie outside of 0..1: annotation tools round."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledImage:
    """One image: `boxes` (n, 4) float32 cx, cy, w, h in 0..1, and `classes` (n,) int64.

    `group` is the folder that it lies in, below the folder of all images: in most sets the camera.
    """

    path: Path
    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledSet:
    """The images to evaluate on, what its class numbers mean, and what was left out with the reason."""

    images: tuple[LabelledImage, ...]
    names: tuple[str, ...]
    left_out: tuple[tuple[Path, str], ...]

    @property
    def boxes(self) -> int:
        """How many boxes are labelled."""
        return sum(len(image.classes) for image in self.images)


def read_set(data: Path, split: str, names: Sequence[str], *, most: int) -> LabelledSet:
    """The labelled images of a data set whose classes are `names`; ConfigError where most cannot be read."""
    paths = images_of(data, split, most=most).paths
    groups, points = _groups(paths), keypoint_values(data)
    images, left_out, missing = [], [], 0
    for path, group in zip(paths, groups, strict=True):
        labels = label_file(path)
        if not path.is_file():  # a list may be of another machine
            left_out.append((path, "is not there"))
            continue
        if not labels.is_file():
            missing += 1
            images.append(_labelled(path, [], group))
            continue
        try:
            images.append(_labelled(path, _lines(labels, len(names), points), group))
        except ValueError as error:
            left_out.append((labels, str(error)))
    if images and missing == len(images):
        raise ConfigError(
            f"no image has labels: {label_file(images[0].path)} is not there",
            file=str(data),
            key=split,
            expected="a text file for each image, `class cx cy width height` a line",
        )
    if len(left_out) > len(images):
        first, reason = left_out[0]
        raise ConfigError(
            f"{len(left_out)} of {len(paths)} images or their labels cannot be read; the first, {first}: {reason}",
            file=str(data),
            expected="images, and labels as YOLO has them",
        )
    return LabelledSet(images=tuple(images), names=tuple(names), left_out=tuple(left_out))


def label_file(image: Path) -> Path:
    """Where the labels of an image lie: below `labels` instead of the last `images`, else beside the image."""
    parts = list(image.parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            return Path(*parts[:place], "labels", *parts[place + 1 :]).with_suffix(".txt")
    return image.with_suffix(".txt")


def parse_labels(text: str, classes: int, points: int = 0) -> list[tuple[int, float, float, float, float]]:
    """Class, cx, cy, width, height of each line, the same box once; ValueError names the line and what is wrong.

    After each box come `points` values of key points.
    """
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        if words := line.split():
            try:
                rows.append(_row(words, classes, points))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
    return list(dict.fromkeys(row for row in rows if row[3] > 0 and row[4] > 0))


def _row(words: Sequence[str], classes: int, points: int) -> tuple[int, float, float, float, float]:
    values = [_number(word) for word in words[1:]]
    if points:
        if len(values) != 4 + points:
            raise ValueError(
                f"{len(words)} values; expected class cx cy width height and {points} of key points"
            )
        values = values[:4]
    if not (len(values) == 4 or (len(values) >= 6 and len(values) % 2 == 0)):
        raise ValueError(f"{len(words)} values; expected class cx cy width height, or class and a polygon")
    class_id = _number(words[0])
    if not class_id.is_integer() or not 0 <= class_id < classes:
        raise ValueError(f"class {class_id:g}; expected a whole number from 0 to {classes - 1}")
    if not all(math.isfinite(value) and -_BEYOND <= value <= 1 + _BEYOND for value in values):
        raise ValueError(
            "a coordinate lies outside of 0..1: labels are in shares of the image, not in pixels"
        )
    if len(values) > 4:
        xs, ys = values[::2], values[1::2]
        values = [(min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2, max(xs) - min(xs), max(ys) - min(ys)]
    cx, cy, width, height = values
    return int(class_id), cx, cy, width, height


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise ValueError(f"{printable(word, 40)!r} is not a number") from None


def _lines(labels: Path, classes: int, points: int) -> list[tuple[int, float, float, float, float]]:
    try:
        return parse_labels(read_small(labels, _LARGEST_BYTES).decode("utf-8-sig"), classes, points)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror or error}") from None


def _labelled(
    path: Path, rows: Sequence[tuple[int, float, float, float, float]], group: str
) -> LabelledImage:
    return LabelledImage(
        path=path,
        boxes=np.array([row[1:] for row in rows], dtype=np.float32).reshape(-1, 4),
        classes=np.array([row[0] for row in rows], dtype=np.int64),
        group=group,
    )


def _groups(paths: Sequence[Path]) -> list[str]:
    """Of each image the folder below the one that holds all, "" where that is the same for all."""
    folders = [path.parent for path in paths]
    if len(set(folders)) < 2:
        return [""] * len(folders)
    shared = 0
    while len({folder.parts[: shared + 1] for folder in folders}) == 1:
        shared += 1
    return ["/".join(folder.parts[shared:]) for folder in folders]
