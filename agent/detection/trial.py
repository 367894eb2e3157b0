"""The trial image: photographs and a drawn scene that a new model is run on, to see what its outputs are.

`trial.jpg` is made by `scripts/trial_image.py`; its sources and their licences stand there.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.detection.preprocess import BatchBuffer, InputType, plan

_FILE = Path(__file__).with_name("trial.jpg")


@lru_cache(maxsize=1)
def trial_image() -> NDArray[np.uint8]:
    """The image, (640, 640, 3) uint8 BGR."""
    image = cv2.imdecode(np.frombuffer(_FILE.read_bytes(), dtype=np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"{_FILE} is no image: install vedette again")
    return np.asarray(image, dtype=np.uint8)


def trial_batch(input_type: InputType, size: tuple[int, int], batch: int) -> NDArray[Any]:
    """A model input of `batch` times the image, letterboxed to (height, width)."""
    image = trial_image()
    box = plan((image.shape[0], image.shape[1]), size, stride=1, minimal=False)
    buffer = BatchBuffer(input_type, size, batch)
    for slot in range(batch):
        buffer.write(slot, image, box)
    return buffer.array
