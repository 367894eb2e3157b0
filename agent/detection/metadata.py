"""Read what an Ultralytics export says of itself: names, task, stride, input size."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

INPUT_KEY = "vedette_input"  # written by `vedette model prepare --input uint8`


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """The metadata of a model; empty or 0 where it has none. `image_size` is (height, width)."""

    names: tuple[str, ...] = ()
    task: str = ""
    end_to_end: bool = False
    stride: int = 32
    image_size: tuple[int, int] | None = None
    description: str = ""
    version: str = ""
    input_type: str = ""


def parse(raw: Mapping[str, str]) -> Metadata:
    """Metadata of an ONNX file's key-value pairs; what cannot be read counts as absent."""
    arguments = _literal(raw.get("args"))
    stride = _literal(raw.get("stride"))
    return Metadata(
        names=_names(_literal(raw.get("names"))),
        task=raw.get("task", ""),
        end_to_end=_literal(raw.get("end2end")) is True
        or (isinstance(arguments, dict) and bool(arguments.get("nms"))),
        stride=stride if isinstance(stride, int) and stride > 0 else 32,
        image_size=_size(_literal(raw.get("imgsz"))),
        description=raw.get("description", "").strip(),
        version=raw.get("version", ""),
        input_type=raw.get(INPUT_KEY, ""),
    )


def _literal(text: str | None) -> Any:
    try:
        return ast.literal_eval(text) if text else None
    except (ValueError, SyntaxError):
        return None


def _names(value: Any) -> tuple[str, ...]:
    if isinstance(value, dict) and set(value) == set(range(len(value))):
        return tuple(str(value[index]) for index in range(len(value)))
    return tuple(str(name) for name in value) if isinstance(value, (list, tuple)) else ()


def _size(value: Any) -> tuple[int, int] | None:
    if isinstance(value, int):
        return value, value
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(isinstance(side, int) for side in value):
        return value[0], value[1]
    return None
