"""Letterbox images into the batch that the model reads, exactly as Ultralytics' `predict` does.

The image is scaled to fit, rounded, resized with INTER_LINEAR and centred on grey 114. A static model gets
its own size; one with free height and width gets the smallest multiple of its stride ("rect"), as `predict`
does for dynamic ONNX files. Checked against ultralytics 8.4 (`data/augment.py: LetterBox`).

Ways to convert tried on 768x432 to 640x384, one thread: split + divide per plane 0.17 ms beyond the resize,
split + LUT 0.24, multiply a transposed view 0.37, cv2.dnn.blobFromImage 0.50.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

PADDING = 114  # the grey that YOLO models are trained with
_UNIT = np.arange(256, dtype=np.float32) / np.float32(255)  # a pixel's value as float models see it
_TABLE_FLOAT16 = _UNIT.astype(np.float16).view(np.uint16).reshape(1, 256)


class InputType(str, Enum):
    """How the model wants its pixels."""

    FLOAT32 = "float32"  # (B, 3, H, W) RGB, 0..1
    FLOAT16 = "float16"  # the same in half precision
    FLOAT32_BYTES = "float32-0-255"  # (B, 3, H, W) RGB, 0..255; normalised inside the graph
    FLOAT16_BYTES = "float16-0-255"
    UINT8_PLANES = "uint8-rgb-planes"  # (B, 3, H, W) RGB, 0..255; normalised inside the graph
    UINT8_PIXELS = "uint8-rgb"  # (B, H, W, 3) RGB, 0..255
    UINT8_BGR = "uint8-bgr"  # (B, H, W, 3) BGR: images as cameras deliver them


_DTYPES: dict[InputType, Any] = {
    InputType.FLOAT32: np.float32, InputType.FLOAT16: np.float16,
    InputType.FLOAT32_BYTES: np.float32, InputType.FLOAT16_BYTES: np.float16,
}  # fmt: skip
OF_BYTES = {InputType.FLOAT32: InputType.FLOAT32_BYTES, InputType.FLOAT16: InputType.FLOAT16_BYTES}
"""The same type for models that take pixels of 0..255."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterbox:
    """Where an image lies in the model's input; every tuple is (height, width) or (top, left), in pixels."""

    source: tuple[int, int]
    size: tuple[int, int]
    content: tuple[int, int]
    offset: tuple[int, int]

    def to_source(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes (n, 4) xyxy in input pixels as boxes in source pixels, clipped to the image."""
        gain, offset, limit = _places(self)
        with np.errstate(over="ignore"):  # a model may say 3e38; the image's edge is what it means
            placed: NDArray[np.float32] = np.clip((boxes - offset) / gain, 0, limit)
        return placed


@lru_cache(maxsize=256)
def _places(box: Letterbox) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """What xyxy boxes are divided by, less what before, and cut at: (4,) each, read-only, the same for every frame."""
    height, width = box.source
    places = (
        np.array([box.content[1] / width, box.content[0] / height] * 2, dtype=np.float32),
        np.array([box.offset[1], box.offset[0]] * 2, dtype=np.float32),
        np.array([width, height] * 2, dtype=np.float32),
    )
    for one in places:
        one.flags.writeable = False
    return places


@lru_cache(maxsize=256)
def plan(
    source: tuple[int, int], target: tuple[int, int], *, stride: int, minimal: bool, stretched: bool = False
) -> Letterbox:
    """How an image of shape `source` fits into `target`.

    `minimal` pads only to a multiple of `stride`; `stretched` fills the target, whatever the image's proportions.
    """
    if stretched:
        return Letterbox(source=source, size=target, content=target, offset=(0, 0))
    scale = min(target[0] / source[0], target[1] / source[1])
    height, width = (max(round(side * scale), 1) for side in source)
    spare = [target[0] - height, target[1] - width]
    if minimal:
        spare = [side % stride for side in spare]
    top, left = (
        round(side / 2 - 0.1) for side in spare
    )  # Ultralytics: an odd pixel goes below, to the right
    bottom, right = (round(side / 2 + 0.1) for side in spare)
    return Letterbox(
        source=source,
        size=(height + top + bottom, width + left + right),
        content=(height, width),
        offset=(top, left),
    )


@lru_cache(maxsize=256)
def untouched(source: tuple[int, int]) -> Letterbox:
    """An image of shape `source` that goes in as it is."""
    return Letterbox(source=source, size=source, content=source, offset=(0, 0))


def letterboxed(image: NDArray[np.uint8], box: Letterbox) -> NDArray[np.uint8]:
    """The image (H, W, 3) uint8 BGR as it lies in the model's input: (*box.size, 3) uint8 BGR."""
    canvas = np.full((*box.size, 3), PADDING, np.uint8)
    (top, left), (height, width) = box.offset, box.content
    _resize(image, box, canvas[top : top + height, left : left + width])
    return canvas


class BatchBuffer:
    """Memory for up to `capacity` images of one input size, reused from batch to batch.

    Padding is painted only when a slot's letterbox changes. Not for two threads at once.
    """

    def __init__(self, input_type: InputType, size: tuple[int, int], capacity: int) -> None:
        self.input_type, self.size = input_type, size
        self._planar = input_type not in (InputType.UINT8_PIXELS, InputType.UINT8_BGR)
        self._unit = input_type in OF_BYTES  # 0..1
        shape = (capacity, 3, *size) if self._planar else (capacity, *size, 3)
        self.array: NDArray[Any] = np.empty(shape, dtype=_DTYPES.get(input_type, np.uint8))
        self._boxes: list[Letterbox | None] = [None] * capacity
        self._small = np.empty((0, 0, 3), np.uint8)
        self._planes: list[NDArray[np.uint8]] = []

    def write(self, slot: int, image: NDArray[np.uint8], box: Letterbox) -> None:
        """Letterbox `image` (H, W, 3) BGR into `slot`."""
        if self._boxes[slot] != box:
            self.array[slot] = _UNIT[PADDING] if self._unit else PADDING
            self._boxes[slot] = box
        (top, left), (height, width) = box.offset, box.content
        rows, columns = slice(top, top + height), slice(left, left + width)
        if self._planar:
            self._write_planes(self._resized(image, box), self.array[slot, :, rows, columns])
        elif self.input_type is InputType.UINT8_BGR:
            _resize(image, box, self.array[slot, rows, columns])
        else:
            cv2.cvtColor(self._resized(image, box), cv2.COLOR_BGR2RGB, dst=self.array[slot, rows, columns])

    def _resized(self, image: NDArray[np.uint8], box: Letterbox) -> NDArray[np.uint8]:
        if image.shape[:2] == box.content:
            return image
        if self._small.shape[:2] != box.content:
            self._small = np.empty((*box.content, 3), np.uint8)
        _resize(image, box, self._small)
        return self._small

    def _write_planes(self, image: NDArray[np.uint8], out: NDArray[Any]) -> None:
        if not self._planes or self._planes[0].shape != image.shape[:2]:
            self._planes = [np.empty(image.shape[:2], np.uint8) for _ in range(3)]
        cv2.split(image, self._planes)
        for channel, plane in enumerate(reversed(self._planes)):  # BGR to RGB
            if not self._unit:
                out[channel] = plane
            elif out.dtype == np.float32:
                # dtype: numpy 1.x would otherwise compute in half precision
                np.divide(plane, np.float32(255), out=out[channel], dtype=np.float32)
            else:
                # as 16-bit words: cv2.LUT is three times as fast as numpy.take, and knows no half floats
                cv2.LUT(plane, _TABLE_FLOAT16, dst=out[channel].view(np.uint16))


def _resize(image: NDArray[np.uint8], box: Letterbox, out: NDArray[np.uint8]) -> None:
    height, width = box.content
    cv2.resize(image, (width, height), dst=out, interpolation=cv2.INTER_LINEAR)
