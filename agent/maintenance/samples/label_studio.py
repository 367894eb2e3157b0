"""Labels out of Label Studio's own JSON: whole tasks (JSON), or their labels alone (JSON-MIN).

<https://labelstud.io/guide/export>: sides are percent of the image, turned around the box's upper left corner. Of a
polygon or an ellipse the box around it is taken; what has no outline (a brush) is refused, for left out it would say
that nothing is there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any
from urllib.parse import unquote

from agent.core.printable import printable
from agent.core.untrusted import BadInput, take_list, take_number, take_objects, take_text

_MOST = 100_000
_POINT = "keypointlabels"
_SHAPES = {"rectangle", "polygon", "ellipse", "brush"}
Corners = tuple[float, float, float, float]
"""Left, top, right, bottom in shares of the image."""


def tasks(body: list[Any]) -> Iterator[tuple[str, list[tuple[str, Corners]]]]:
    """The stem of each labelled image's name, and its boxes with the names of their classes; BadInput.

    A task that nobody has annotated yet is left out; of several annotations the last one counts.
    """
    for task in body:
        if not isinstance(task, dict):
            raise BadInput("a task is not an object")
        if "annotations" in task:
            done = [
                one
                for one in take_objects(task, "annotations", longest=_MOST)
                if not one.get("was_cancelled")
            ]
            if done:
                yield _stem(task), list(_boxes(take_objects(done[-1], "result", longest=_MOST)))
        else:
            regions = [one for values in task.values() if isinstance(values, list) for one in values]
            values = [one for one in regions if isinstance(one, dict) and _kind(one)]
            yield _stem(task), [_box(value) for value in values if _kind(value) != _POINT]


def stem_of(name: str) -> str:
    """The stem of an image's name in a path or address, with whatever slashes.

    >>> stem_of("/data/local-files/?d=images%2Fgate%2Fa.b.jpg"), stem_of("images\\\\a.jpg")
    ('a.b', 'a')
    """
    last = PureWindowsPath(unquote(name).rpartition("?d=")[2].partition("?")[0]).name
    return PurePosixPath(last).stem


def _stem(task: Mapping[str, Any]) -> str:
    data = task.get("data", task)
    name = task.get("file_upload") or (data.get("image") if isinstance(data, dict) else None)
    if not isinstance(name, str):
        raise BadInput('a task has no "image"')
    return stem_of(name)


def _boxes(results: list[Mapping[str, Any]]) -> Iterator[tuple[str, Corners]]:
    """The outlined regions; a shape and its class may be two results of one `id` (the tags Rectangle and Labels)."""
    named = {one.get("id") for one in results if isinstance(one.get("value"), dict) and _kind(one["value"])}
    for one in results:
        if not isinstance(one.get("value"), dict):
            continue  # a relation between two
        value = {**one, **one["value"]}
        if kind := _kind(one["value"]):
            if kind != _POINT:
                yield _box(value)
        elif _outlined(str(one.get("type"))) and one.get("id") not in named:
            raise BadInput(f"a {printable(one['type'], 40)} has no class")


def _outlined(type: str) -> bool:
    return type in _SHAPES or (type.endswith("labels") and type != _POINT)


def _kind(value: Mapping[str, Any]) -> str:
    """The entry that names a region's class, such as `rectanglelabels`; "" where none does."""
    return next((key for key, one in value.items() if key.endswith("labels") and isinstance(one, list)), "")


def _box(value: Mapping[str, Any]) -> tuple[str, Corners]:
    kind = _kind(value)
    names = take_list(value, kind)
    if len(names) != 1:
        raise BadInput(f"a box has {len(names)} classes")
    return take_text({"name": names[0]}, "name", longest=200), _corners(value, kind)


def _corners(value: Mapping[str, Any], kind: str) -> Corners:
    if "points" in value:
        points = [_point(one) for one in take_list(value, "points", longest=_MOST)]
    elif "radiusX" in value:
        points = _ellipse(value)
    elif {"x", "y", "width", "height"} <= value.keys():
        points = _rectangle(value)
    else:
        points = []
    if not points:
        raise BadInput(
            f"a region of `{printable(kind, 40)}` has no outline; rectangles, polygons and ellipses are read"
        )
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _point(one: object) -> tuple[float, float]:
    if not isinstance(one, list) or len(one) != 2:
        raise BadInput("a point is not a pair of numbers")
    x, y = (take_number({"point": side}, "point") / 100.0 for side in one)
    return x, y


def _rectangle(value: Mapping[str, Any]) -> list[tuple[float, float]]:
    left, top, width, height = (take_number(value, key) / 100.0 for key in ("x", "y", "width", "height"))
    turn, shape = _turn(value)
    across = (width * math.cos(turn), width * math.sin(turn) * shape)
    down = (-height * math.sin(turn) / shape, height * math.cos(turn))
    return [
        (left + a * across[0] + b * down[0], top + a * across[1] + b * down[1])
        for a in (0, 1)
        for b in (0, 1)
    ]


def _ellipse(value: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Two corners of the box around it."""
    x, y, across, down = (take_number(value, key) / 100.0 for key in ("x", "y", "radiusX", "radiusY"))
    turn, shape = _turn(value)
    wide = math.hypot(across * math.cos(turn), down * math.sin(turn) / shape)
    tall = math.hypot(across * math.sin(turn) * shape, down * math.cos(turn))
    return [(x - wide, y - tall), (x + wide, y + tall)]


def _turn(value: Mapping[str, Any]) -> tuple[float, float]:
    """How far a region is turned (radians), and how many times as wide as high the image is."""
    tall = take_number(value, "original_height", 1.0) or 1.0
    shape = (take_number(value, "original_width", 1.0) or 1.0) / tall
    return math.radians(take_number(value, "rotation", 0.0)), shape
