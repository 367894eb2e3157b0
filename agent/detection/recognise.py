"""Recognise what a model's outputs are, by their shapes and by what the model gave on a trial image.

A layout must explain both. A model that none explains is refused, with what it seems to be: a detector that is read
wrongly gives boxes of a pixel, or angles as classes, and nobody notices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
_AUTO = "auto"
NAMES = (_AUTO, *(layout.name for layout in LAYOUTS))
"""The values of `model.layout`."""


def recognise(
    outputs: Sequence[NDArray[Any]], facts: ModelFacts, *, task: str = "", wanted: str = _AUTO
) -> tuple[Layout, str]:
    """The layout of a model that gave `outputs` on one trial image or several alike; the first output is the boxes.

    `wanted` is the layout that the config sets: it is taken where the shape allows it, and the second value is what
    in the output speaks against it ("" for a layout that was recognised). Raises ModelError, saying what the
    model seems to be and the mend, where no layout explains it.
    """
    _refuse_other_tasks([output.shape for output in outputs], task)
    boxes = outputs[0]
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


def _refuse_other_tasks(shapes: Sequence[tuple[int, ...]], task: str) -> None:
    if task not in ("", "detect"):
        raise ModelError(f"is {_OTHER_TASKS.get(task, f'a model for {task!r}')}, not a detector")
    if not shapes:
        raise ModelError("has no output")
    shape = shapes[0]
    if any(len(other) == 4 for other in shapes[1:]):
        raise ModelError("is a segmentation model (an output of masks), not a detector")
    separate = [other for other in shapes if len(other) >= 2 and other[-1] == 4]
    if len(shapes) > 1 and separate:
        raise ModelError(
            f"gives boxes and scores as separate outputs ({', '.join(str(list(one)) for one in shapes)}), as DETR, SSD "
            "and TensorRT's NMS do; one output of boxes with their scores is expected"
        )
    if len(shape) == 2 and shape[1] == 7:
        raise ModelError(
            f"seems to be an end-to-end YOLOv7 (output {list(shape)}: image, box, class, score); export it without "
            "--end2end"
        )
    if len(shape) == 2:
        raise ModelError(f"is a classification model (output {list(shape)}), not a detector")
    if len(shape) != 3 or 0 in (shape[0], shape[2]):  # no box at all is an answer: nothing was found
        raise ModelError(f"is no detector that is known: output of shape {list(shape)}")


def _refusal(
    shape: tuple[int, ...], facts: ModelFacts, possible: Sequence[Layout], doubts: dict[str, str]
) -> str:
    if not possible and facts.end_to_end:
        return f"says end2end, but its output is {list(shape)}; expected (batch, boxes, 6)"
    if not possible:
        names = (
            f"has {facts.classes} class names, but its"
            if facts.classes
            else "is no detector that is known: its"
        )
        known = ", ".join(
            layout.expected.replace("classes", str(facts.classes or "classes")) for layout in LAYOUTS
        )
        return f"{names} output is {list(shape)}; expected one of {known}; set model.names where names are missing"
    nearest = possible[0]
    more = "".join(f"; no {one.name} ({one.models}), as {doubts[one.name]}" for one in possible[1:])
    return (
        f"cannot be read: output {list(shape)} looks like {nearest.name} ({nearest.models}), but "
        f"{doubts[nearest.name]}{more}; export it anew with `vedette model prepare`, or set model.layout"
    )
