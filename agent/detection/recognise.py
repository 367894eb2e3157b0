"""Recognise what a model's outputs are, by their shapes and by what the model gave on a trial image.

A layout must explain both. A model that none explains is refused, with what it seems to be: a detector that is read
wrongly gives boxes of a pixel, or angles as classes, and nobody notices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core.errors import ModelError
from agent.detection.layouts import LAYOUTS
from agent.detection.layouts.layout import Layout, ModelFacts

# What an output looks like that belongs to another task, for the error.
_OTHER_TASKS = {
    "classify": "a classification model",
    "segment": "a segmentation model",
    "semantic": "a segmentation model",
    "pose": "a pose model",
    "obb": "a model of rotated boxes (obb)",
    "depth": "a depth model",
}
_MOST_IMAGES, _FEWEST_COLUMNS = 64, 5  # of a batch, of a box: an output of two axes is either
_NMS_COLUMNS, _MOST_LISTED = 7, 1000  # image, box, class, score; rows of a short list
_AUTO = "auto"
NAMES = (_AUTO, *(layout.name for layout in LAYOUTS))
"""The values of `model.layout`."""


def recognise(
    outputs: Sequence[NDArray[Any]], facts: ModelFacts, *, task: str = "", wanted: str = _AUTO
) -> tuple[Layout, str]:
    """The layout of a model that gave `outputs` on one trial image or several alike, whose first output is the boxes.

    `wanted` is the layout that the config sets: it is taken where the shape allows it, and the second value is what
    in the output speaks against it ("" for a layout that was recognised). Raises ModelError, saying what the
    model seems to be and the mend, where no layout explains it.
    """
    boxes = outputs[0] if outputs else np.zeros(0, np.float32)
    _refuse_other_tasks([output.shape for output in outputs], task, boxes.dtype)
    shape, sides = boxes.shape, (int(boxes.shape[1]), int(boxes.shape[2]))
    if wanted != _AUTO:
        layout = next(one for one in LAYOUTS if one.name == wanted)
        if not layout.fits(sides, facts):
            raise ModelError(
                f"model.layout is {wanted!r}: expected {layout.expected}, its output is {list(shape)}"
            )
        return layout, layout.doubt(boxes[0], facts)
    possible = [layout for layout in LAYOUTS if layout.fits(sides, facts)]
    doubts = {layout.name: layout.doubt(boxes[0], facts) for layout in possible}
    for layout in possible:
        if not doubts[layout.name]:
            return layout, ""
    raise ModelError(_refusal(shape, facts, possible, doubts))


def recognise_among(
    outputs: Sequence[NDArray[Any]], facts: ModelFacts, *, task: str = "", wanted: str = _AUTO
) -> tuple[int, Layout, str]:
    """As `recognise`, and before it which output holds the boxes: the first that can be read.

    Exports put raw heads, features or a second head before the boxes, too. Raises ModelError, of the first output.
    """
    refused: ModelError | None = None
    for at in range(max(1, len(outputs))):
        try:
            layout, doubt = recognise([*outputs[at:], *outputs[:at]], facts, task=task, wanted=wanted)
        except ModelError as error:  # noqa: PERF203  (a model has a handful of outputs, and is opened once)
            refused = refused or error
        else:
            return at, layout, doubt
    raise refused or ModelError("has no output")


def _refuse_other_tasks(shapes: Sequence[tuple[int, ...]], task: str, dtype: np.dtype[Any]) -> None:
    if task not in ("", "detect"):
        raise ModelError(f"is {_OTHER_TASKS.get(task, f'a model for {task!r}')}, not a detector")
    if not shapes:
        raise ModelError("has no output")
    shape = shapes[0]
    if not np.issubdtype(dtype, np.floating) and (len(shapes) == 1 or not _apart(shapes)):
        raise ModelError(f"gives its boxes as {dtype}, not as numbers with a fraction; export it anew")
    if len(shapes) > 1 and (apart := _apart(shapes)):
        raise ModelError(
            f"gives boxes and scores as separate outputs ({', '.join(str(list(one)) for one in shapes)}), as {apart}; "
            "export it with both in one output: YOLO by `vedette model prepare`, others without suppression in the "
            "graph, boxes and scores joined to (batch, boxes, 4 + classes)"
        )
    if any(len(other) == 4 for other in shapes[1:]):
        raise ModelError("is a segmentation model (an output of masks), not a detector")
    if len(shape) == 2 and shape[1] == 7:
        raise ModelError(
            f"seems to be an end-to-end YOLOv7 (output {list(shape)}: image, box, class, score); export it without "
            "--end2end"
        )
    if len(shape) == 2 and shape[0] > _MOST_IMAGES and shape[1] >= _FEWEST_COLUMNS:
        raise ModelError(
            f"gives boxes without a batch (output {list(shape)}); export it with (batch, ...) as its first axis"
        )
    if len(shape) == 5:
        raise ModelError(
            f"gives raw heads (output {list(shape)}: anchors, rows, columns, values), as YOLOv3 to v7 do without their "
            "last layer; export it with --grid, or as `vedette model prepare` does"
        )
    if len(shape) == 4 and 1 in shape[1:]:
        raise ModelError(
            f"gives boxes with an axis too many (output {list(shape)}); export it without that axis of 1"
        )
    if len(shape) == 2:
        raise ModelError(f"is a classification model (output {list(shape)}), not a detector")
    if len(shape) != 3 or 0 in (shape[0], shape[2]):  # no box at all is an answer: nothing was found
        raise ModelError(f"is not a known kind of detector: output of shape {list(shape)}")


def _apart(shapes: Sequence[tuple[int, ...]]) -> str:
    """Which models write boxes (..., 4) or (..., 5) beside scores or classes of as many rows; "" where none does."""
    boxes = next((one for one in shapes if len(one) in (2, 3, 4) and one[-1] in (4, 5)), None)
    if boxes is None:
        turned = any(len(one) == 3 and one[1] == 4 for one in shapes)
        return "YOLO without its last step does" if turned else ""
    rows = [one for one in shapes if one is not boxes and boxes[1 - (len(boxes) == 2)] in one]
    if len(boxes) == 4:
        return "YOLOv4 does" if boxes[2] == 1 and rows else ""
    if any(len(one) == 3 for one in rows):
        return "YOLO-NAS, DAMO-YOLO, DETR and SSD do"
    if boxes[-1] == 5:
        return "MMDetection does" if rows else ""
    if len(boxes) == 2:
        return "torchvision does" if rows else ""
    return "TensorRT's NMS, TensorFlow and RT-DETR do" if rows else ""


def _refusal(
    shape: tuple[int, ...], facts: ModelFacts, possible: Sequence[Layout], doubts: dict[str, str]
) -> str:
    if shape[2] == _NMS_COLUMNS and shape[1] <= _MOST_LISTED:
        return (
            f"seems to number its images (output {list(shape)}: image, box, class, score), as exports of YOLOv7 and "
            "others with suppression do; export it without suppression"
        )
    if not possible and facts.end_to_end:
        return f"says end2end, but its output is {list(shape)}; expected (batch, boxes, 6)"
    if not possible:
        return _unknown(shape, facts)
    nearest = possible[0]
    more = "".join(f"; no {one.name} ({one.models}), as {doubts[one.name]}" for one in possible[1:])
    return (
        f"cannot be read: output {list(shape)} looks like {nearest.name} ({nearest.models}), but "
        f"{doubts[nearest.name]}{more}; export it anew with `vedette model prepare`, or set model.layout"
    )


def _unknown(shape: tuple[int, ...], facts: ModelFacts) -> str:
    """That no layout has such an output."""
    known = ", ".join(
        layout.expected.replace("classes", str(facts.classes or "classes")) for layout in LAYOUTS
    )
    if not facts.classes:
        return (
            f"is not a known kind of detector: its output is {list(shape)}; expected one of {known}; set model.names "
            "where names are missing"
        )
    return f"has {facts.classes} class names, but its output is {list(shape)}; expected one of {known}"
