"""The trial image: photographs and a drawn scene that a new model is run on, to see what its outputs are.

`trial.jpg` is made by `scripts/trial_image.py`; its sources and their licences stand there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.detection.preprocess import PADDING, BatchBuffer, InputType, Letterbox, letterboxed, plan

_PHOTOGRAPH = 320  # pixels of a side of the first one
_KNOWN = (("person", (0.02, 0.01, 0.36, 0.49)), ("cat", (0.50, 0.0, 1.0, 0.49)))
"""What the photographs show, by the names that COCO gives them, and where: x1, y1, x2, y2 in shares of the image."""
_FILE = Path(__file__).with_name("trial.jpg")


@lru_cache(maxsize=1)
def trial_image() -> NDArray[np.uint8]:
    """The image, (640, 640, 3) uint8 BGR."""
    image = cv2.imdecode(np.frombuffer(_FILE.read_bytes(), dtype=np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"{_FILE} is not an image: install vedette again")
    return np.asarray(image, dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class Trial:
    """Inputs of a model made of the trial image; `size` is (height, width)."""

    input_type: InputType
    size: tuple[int, int]
    images: int

    def batch(self) -> NDArray[Any]:
        """The image, as often as a batch has it."""
        return trial_batch(self.input_type, self.size, self.images)

    def canvas(self) -> NDArray[np.uint8]:
        """The image as it lies in an input: (height, width, 3) uint8 BGR."""
        return letterboxed(trial_image(), self._lies())

    def known(self) -> list[tuple[str, NDArray[np.float32]]]:
        """What the photographs show, by COCO's names, and its xyxy box in the input."""
        (top, left), (height, width) = self._lies().offset, self._lies().content
        scale, offset = np.array([width, height] * 2), np.array([left, top] * 2)
        return [(name, (np.array(share) * scale + offset).astype(np.float32)) for name, share in _KNOWN]

    def _lies(self) -> Letterbox:
        image = trial_image()
        return plan((image.shape[0], image.shape[1]), self.size, stride=1, minimal=False)

    def of(self, canvas: NDArray[np.uint8]) -> NDArray[Any]:
        """A batch of an input (height, width, 3) uint8 BGR."""
        return _filled(canvas, self.input_type, self.size, self.images)

    def lower_left(self) -> NDArray[Any]:
        """A photograph in the lower left quarter, padding elsewhere."""
        height, width = self.size
        photograph = trial_image()[:_PHOTOGRAPH, :_PHOTOGRAPH]
        canvas = np.full((height, width, 3), PADDING, np.uint8)
        side = max(1, min(height - height // 2, width // 2))
        canvas[height - side :, :side] = cv2.resize(photograph, (side, side), interpolation=cv2.INTER_AREA)
        return self.of(canvas)


def trial_batch(input_type: InputType, size: tuple[int, int], batch: int) -> NDArray[Any]:
    """A model input of `batch` times the image, letterboxed to (height, width)."""
    return _filled(trial_image(), input_type, size, batch)


def _filled(
    image: NDArray[np.uint8], input_type: InputType, size: tuple[int, int], batch: int
) -> NDArray[Any]:
    box = plan((image.shape[0], image.shape[1]), size, stride=1, minimal=False)
    buffer = BatchBuffer(input_type, size, batch)
    for slot in range(batch):
        buffer.write(slot, image, box)
    return buffer.array
