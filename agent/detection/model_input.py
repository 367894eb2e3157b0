"""The one image input of a model: its name, type and sides, as any engine declares them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.core.errors import ModelError
from agent.core.printable import printable

_TYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredInput:
    """An input as the file declares it: `kind` in ONNX's words, such as "tensor(float)"; other sides than numbers
    above 0 are free."""

    name: str
    kind: str
    sides: Sequence[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputShape:
    """The model's one input; None for a dimension that is free. `pixels` is True for (B, H, W, 3)."""

    name: str
    dtype: str
    batch: int | None
    height: int | None
    width: int | None
    pixels: bool


_SIZES = {
    "orig_target_sizes": "the size of the source, as RT-DETR, D-FINE and DEIM export it",
    "scale_factor": "the scale of the source, as PP-YOLOE and PP-YOLO export it",
    "im_shape": "the size of the source, as models of PaddleDetection export it",
    "pixel_mask": "a mask of the padding, as DETR of Hugging Face exports it",
}
"""Inputs beside the image that are known by their name."""


def _mend(inputs: Sequence[DeclaredInput]) -> str:
    """What is known of inputs that are not one image, and what to do."""
    known = next((f"one is {_SIZES[one.name]}; " for one in inputs if one.name in _SIZES), "")
    return (
        f"{known}a detector takes one image: export it without its post-processing, with boxes and scores in one "
        "output, or give a model that `vedette model prepare` exports"
    )


def parse_input(path: Path, inputs: Sequence[DeclaredInput]) -> InputShape:
    """The image input of a model. Raises ModelError where there is no such one input."""
    if len(inputs) != 1:
        names = printable(", ".join(repr(one.name) for one in inputs))
        raise ModelError(f"model {path} takes {len(inputs)} inputs ({names}); {_mend(inputs)}")
    name, shape, kind = inputs[0].name, list(inputs[0].sides), printable(inputs[0].kind, 80)
    shown = printable(shape, 120)
    if kind not in _TYPES:
        raise ModelError(f"model {path} takes {kind}; expected float32, float16 or uint8 images")
    if len(shape) != 4:
        raise ModelError(f"model {path} takes an input of shape {shown}; expected (batch, 3, height, width)")
    batch, *rest = (size if isinstance(size, int) and size > 0 else None for size in shape)
    pixels = rest[2] == 3 and rest[0] != 3
    channels = rest.pop(2 if pixels else 0)
    if channels not in (3, None):
        raise ModelError(f"model {path} takes images of {channels} channels; expected 3 (colour)")
    if pixels and _TYPES[kind] != "uint8":
        raise ModelError(f"model {path} takes {kind} of shape {shown}; expected (batch, 3, height, width)")
    return InputShape(
        name=name, dtype=_TYPES[kind], batch=batch, height=rest[0], width=rest[1], pixels=pixels
    )
