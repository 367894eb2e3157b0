"""Arrays of numbers in JSON, as base64 of their bytes, and back."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core.untrusted import BadInput, take_text

HUGE, TINY = 1e30, 1e-30
"""What a number in a reference can be at most, and what is above 0 at least. A feature is a float32; what is made of it
stays far within a float64."""


def numbers(array: NDArray[Any], kind: str = "<f8") -> str:
    """An array as base64 of little-endian float64, or of another `kind` (a dtype)."""
    return base64.b64encode(np.ascontiguousarray(array, dtype=kind).tobytes()).decode()


def array(
    body: Mapping[str, Any], name: str, shape: Sequence[int], *, low: float = -HUGE, high: float = HUGE,
    kind: str = "<f8", unknown: bool = False,
) -> NDArray[np.float64]:  # fmt: skip
    """The array at `name` as `numbers` wrote it in `kind`, of `shape`, its values from `low` to `high`; else BadInput.

    `unknown` allows NaN.
    """
    size = math.prod(shape) * np.dtype(kind).itemsize
    text = take_text(body, name, longest=4 * (size // 3 + 1))
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadInput(f"`{name}` is not base64") from None
    if len(raw) != size:
        raise BadInput(f"`{name}` has {len(raw)} bytes; expected {size}")
    values = np.frombuffer(raw, dtype=kind).reshape(shape).astype(np.float64)
    known = values[~np.isnan(values)] if unknown else values
    if not ((known >= low) & (known <= high)).all():
        raise BadInput(f"`{name}` holds values that are not from {low:g} to {high:g}")
    return values
