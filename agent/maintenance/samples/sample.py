"""A sample: a frame that was kept to be labelled, what the model found in it, and its labels once there are some."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from agent.core.untrusted import BadInput, take_integer, take_list, take_number, take_text

AUDIT = "audit"
"""The reason of samples drawn uniformly at random, whatever they show: only they measure how right the model is."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,100}-\d{8}T\d{6}\.\d{3}Z-[a-z_]{1,32}")
_LONGEST_NAME = 200
MOST_BOXES = 10_000
"""Of a frame, found or labelled."""

_LATEST = 253_402_300_799.0  # the year 9999, as datetime knows it


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A box in shares of the frame, by its centre; `score` is 1 where a person labelled it."""

    class_id: int
    x: float
    y: float
    width: float
    height: float
    score: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A frame of `camera` of `captured_at` (Unix time), `width` x `height` pixels.

    `found` are the boxes of the model `model` (its SHA-256) at `threshold`, the best score first; `labels` is None
    until somebody labelled it. `estimate` is the F1 that was estimated without labels of that model and camera then,
    None where nothing was.
    """

    id: str
    camera: str
    captured_at: float
    reason: str
    width: int
    height: int
    model: str
    threshold: float
    found: tuple[Box, ...]
    labels: tuple[Box, ...] | None = None
    estimate: float | None = None


def id_of(camera: str, captured_at: float, reason: str) -> str:
    """A name that sorts by camera and time: `front-20260131T120000.250Z-blink`."""
    taken = datetime.fromtimestamp(captured_at, timezone.utc)
    return f"{camera}-{taken:%Y%m%dT%H%M%S}.{taken.microsecond // 1000:03d}Z-{reason}"


def is_id(text: str) -> bool:
    """Whether `id_of` may have made `text`: it is a plain file name then."""
    return _ID.fullmatch(text) is not None


def to_json(sample: Sample) -> dict[str, Any]:
    """The sample as JSON values."""
    return {
        "id": sample.id,
        "camera": sample.camera,
        "captured_at": sample.captured_at,
        "reason": sample.reason,
        "width": sample.width,
        "height": sample.height,
        "model": sample.model,
        "threshold": sample.threshold,
        "found": _rows(sample.found),
        "labels": None if sample.labels is None else _rows(sample.labels),
        **({} if sample.estimate is None else {"estimate": round(sample.estimate, 4)}),
    }


def from_json(body: Mapping[str, Any]) -> Sample:
    """The sample that `to_json` wrote; BadInput for anything else."""
    id = take_text(body, "id", longest=_LONGEST_NAME)
    if not is_id(id):
        raise BadInput("`id` is not a sample's")
    return Sample(
        id=id,
        camera=take_text(body, "camera", longest=_LONGEST_NAME),
        captured_at=take_number(body, "captured_at", minimum=0.0, maximum=_LATEST),
        reason=take_text(body, "reason", longest=32),
        width=take_integer(body, "width", minimum=1, maximum=1 << 16),
        height=take_integer(body, "height", minimum=1, maximum=1 << 16),
        model=take_text(body, "model", longest=64),
        threshold=take_number(body, "threshold", minimum=0.0, maximum=1.0),
        found=_boxes(body, "found"),
        labels=None if body.get("labels") is None else _boxes(body, "labels"),
        estimate=None
        if body.get("estimate") is None
        else take_number(body, "estimate", minimum=0.0, maximum=1.0),
    )


def _rows(boxes: tuple[Box, ...]) -> list[list[float]]:
    return [
        [box.class_id, *(round(one, 6) for one in (box.x, box.y, box.width, box.height, box.score))]
        for box in boxes
    ]


def _boxes(body: Mapping[str, Any], key: str) -> tuple[Box, ...]:
    return tuple(_box(row) for row in take_list(body, key, longest=MOST_BOXES))


def _box(row: Any) -> Box:
    if not isinstance(row, list) or len(row) != 6:
        raise BadInput("a box is not a list of six numbers")
    named = dict(zip(("class_id", "x", "y", "width", "height", "score"), row, strict=True))
    shares = {
        key: take_number(named, key, minimum=0.0, maximum=1.0)
        for key in ("x", "y", "width", "height", "score")
    }
    return Box(class_id=take_integer(named, "class_id", minimum=0, maximum=1_000_000), **shares)
