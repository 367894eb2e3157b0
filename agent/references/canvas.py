"""A small canvas with axes, drawn with OpenCV: every box has it, a plotting library would be 40 MB more."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.core.state_dir import write_atomic

WIDTH, HEIGHT = 960, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 20, 56, 46
_INK, _GRID, _PAPER = (60, 60, 60), (228, 228, 228), (255, 255, 255)
_FONT = cv2.FONT_HERSHEY_SIMPLEX

Colour = tuple[int, int, int]
BLUE: Colour = (176, 105, 31)
PALE: Colour = (236, 214, 190)
RED: Colour = (40, 39, 214)
GREY: Colour = (150, 150, 150)


class Canvas:
    """Axes over x in (x0, x1) and y in (y0, y1) in data units; `title` and `note` stand above. ASCII only."""

    def __init__(
        self,
        title: str,
        note: str,
        x: tuple[float, float],
        y: tuple[float, float],
        *,
        x_step: float | None = None,
    ) -> None:
        self.image: NDArray[np.uint8] = np.full((HEIGHT, WIDTH, 3), _PAPER, dtype=np.uint8)
        self._x, self._y = _opened(x), _opened(y)
        self._text(title, (_LEFT, 24), 0.62)
        self._text(note, (_LEFT, 45), 0.42)
        for value in _ticks(*self._x, x_step):
            place = self._place(value, self._y[0])
            cv2.line(self.image, place, (place[0], _TOP), _GRID, 1)
            self._text(f"{value:g}", (place[0] - 10, HEIGHT - 24), 0.42)
        for value in _ticks(*self._y):
            place = self._place(self._x[0], value)
            cv2.line(self.image, place, (WIDTH - _RIGHT, place[1]), _GRID, 1)
            self._text(f"{value:.4g}", (8, place[1] + 4), 0.42)
        cv2.rectangle(self.image, (_LEFT, _TOP), (WIDTH - _RIGHT, HEIGHT - _BOTTOM), _INK, 1)

    def band(
        self, x: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], colour: Colour
    ) -> None:
        """Fill between two lines; all of the same length."""
        points = [*map(self._place, x, low), *reversed(list(map(self._place, x, high)))]
        cv2.fillPoly(self.image, [np.array(points, dtype=np.int32)], colour)

    def line(
        self,
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        colour: Colour,
        *,
        width: int = 2,
    ) -> None:
        """Join points; gaps where one is not finite."""
        places = list(zip(x.tolist(), y.tolist(), strict=True))
        for start, end in pairwise(places):
            if all(map(math.isfinite, (*start, *end))):
                cv2.line(self.image, self._place(*start), self._place(*end), colour, width, cv2.LINE_AA)

    def legend(self, entries: list[tuple[str, Colour]]) -> None:
        """Names of colours, below the axis."""
        at = _LEFT
        for name, colour in entries:
            cv2.line(self.image, (at, HEIGHT - 9), (at + 22, HEIGHT - 9), colour, 4)
            self._text(name, (at + 28, HEIGHT - 5), 0.42)
            at += 50 + cv2.getTextSize(name, _FONT, 0.42, 1)[0][0]

    def save(self, path: Path) -> Path:
        """Write a PNG; the folder is made."""
        write_atomic(path, cv2.imencode(".png", self.image)[1].tobytes(), mode=0o644)
        return path

    def _place(self, x: float, y: float) -> tuple[int, int]:
        across = min(max((x - self._x[0]) / (self._x[1] - self._x[0]), 0.0), 1.0)
        up = min(max((y - self._y[0]) / (self._y[1] - self._y[0]), 0.0), 1.0)
        wide, high = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
        return round(_LEFT + across * wide), round(HEIGHT - _BOTTOM - up * high)

    def _text(self, text: str, at: tuple[int, int], size: float) -> None:
        plain = text.encode("ascii", "replace").decode()
        cv2.putText(self.image, plain, at, _FONT, size, _INK, 1, cv2.LINE_AA)


def _opened(span: tuple[float, float]) -> tuple[float, float]:
    """A span that is wider than nothing."""
    low, high = span
    if not (math.isfinite(low) and math.isfinite(high)):
        return 0.0, 1.0
    slack = 0.5 * max(abs(low), 1e-6) if high <= low else 0.0
    return low - slack, high + slack


def _ticks(low: float, high: float, step: float | None = None) -> list[float]:
    """Round numbers within, at most eight."""
    if step is None:
        rough = (high - low) / 6
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 12) for number in range(first, math.floor(high / step + 1e-9) + 1)]
