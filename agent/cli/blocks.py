"""Renders an image as text for a terminal: each character shows two pixels, one above the other."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

HALF = "\u2580"  # the upper half in the colour of the letter, the lower in that of the ground
MOST_COLUMNS = 120
_END = "\x1b[0m"


def blocks(image: NDArray[np.uint8], columns: int, rows: int, *, true_colour: bool) -> str:
    """`image` (H, W, 3) BGR in at most `columns` by `rows` characters, in 24-bit colours or the common 256."""
    height, width = image.shape[:2]
    scale = min(min(columns, MOST_COLUMNS) / width, 2 * rows / height)
    size = (max(1, int(width * scale)), max(2, int(height * scale) // 2 * 2))
    small: Any = cv2.resize(image, size, interpolation=cv2.INTER_AREA)[:, :, ::-1]
    colour = _true if true_colour else _of_256
    lines = []
    for upper, lower in zip(small[::2].tolist(), small[1::2].tolist(), strict=True):
        pairs = zip(upper, lower, strict=True)
        lines.append("".join(f"\x1b[38;{colour(a)};48;{colour(b)}m{HALF}" for a, b in pairs) + _END)
    return "\n".join(lines)


def _true(pixel: list[int]) -> str:
    return f"2;{pixel[0]};{pixel[1]};{pixel[2]}"


def _of_256(pixel: list[int]) -> str:
    """The nearest colour of the 6 by 6 by 6 cube that begins at number 16."""
    red, green, blue = (round(value / 255 * 5) for value in pixel)
    return f"5;{16 + 36 * red + 6 * green + blue}"
