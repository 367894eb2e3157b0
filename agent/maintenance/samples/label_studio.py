"""Labels out of Label Studio's own JSON: whole tasks (JSON), or their labels alone (JSON-MIN).

<https://labelstud.io/guide/export>: sides are percent of the image, turned around the box's upper left corner.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any
from urllib.parse import unquote

from agent.core.untrusted import BadInput, take_list, take_number, take_object, take_text

_MOST = 100_000
Corners = tuple[float, float, float, float]
"""Left, top, right, bottom in shares of the image."""


def tasks(body: list[Any]) -> Iterator[tuple[str, list[tuple[str, Corners]]]]:
    """The stem of each labelled image's name, and its boxes with the names of their classes; BadInput.

    A task that nobody has annotated yet is left out; of several annotations the last one counts.
    """
    for task in body:
        if not isinstance(task, dict):
            raise BadInput("a task is no object")
        if "annotations" in task:
            done = [one for one in _objects(task, "annotations") if not one.get("was_cancelled")]
            if done:
                results = _objects(done[-1], "result")
                boxes = [
                    {**one, **take_object(one, "value")}
                    for one in results
                    if one.get("type") == "rectanglelabels"
                ]
                yield _stem(task), [_box(value) for value in boxes]
        else:
            lists = [one for one in task.values() if isinstance(one, list)]
            yield _stem(task), [_box(value) for one in lists for value in one if _is_box(value)]


def stem_of(name: str) -> str:
    """The stem of an image's name in a path or address, with whatever slashes.

    >>> stem_of("/data/local-files/?d=images%2Fgate%2Fa.b.jpg"), stem_of("images\\\\a.jpg")
    ('a.b', 'a')
    """
    last = PureWindowsPath(unquote(name).rpartition("?d=")[2].partition("?")[0]).name
    return PurePosixPath(last).stem


def _objects(body: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = take_list(body, key, longest=_MOST)
    if not all(isinstance(one, dict) for one in found):
        raise BadInput(f"`{key}` has something that is no object")
    return found


def _stem(task: Mapping[str, Any]) -> str:
    data = task.get("data", task)
    name = task.get("file_upload") or (data.get("image") if isinstance(data, dict) else None)
    if not isinstance(name, str):
        raise BadInput('a task has no "image"')
    return stem_of(name)


def _is_box(value: Any) -> bool:
    return isinstance(value, dict) and "rectanglelabels" in value


def _box(value: Mapping[str, Any]) -> tuple[str, Corners]:
    names = take_list(value, "rectanglelabels")
    if len(names) != 1:
        raise BadInput(f"a box has {len(names)} classes")
    left, top, width, height = (take_number(value, key) / 100.0 for key in ("x", "y", "width", "height"))
    turn = math.radians(take_number(value, "rotation", 0.0))
    tall = take_number(value, "original_height", 1.0) or 1.0
    shape = (take_number(value, "original_width", 1.0) or 1.0) / tall
    across = (width * math.cos(turn), width * math.sin(turn) * shape)
    down = (-height * math.sin(turn) / shape, height * math.cos(turn))
    xs = [left + a * across[0] + b * down[0] for a in (0, 1) for b in (0, 1)]
    ys = [top + a * across[1] + b * down[1] for a in (0, 1) for b in (0, 1)]
    return take_text({"name": names[0]}, "name", longest=200), (min(xs), min(ys), max(xs), max(ys))
