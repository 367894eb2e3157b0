"""How large the model's runs are: frames in one run, sides of an image, threads and lanes."""

from __future__ import annotations

from agent.config.schema import ModelSettings
from agent.detection import providers
from agent.detection.metadata import Metadata
from agent.detection.model_input import InputShape

_DEFAULT_SIZE = 640  # what YOLO detectors are trained at


def batch_size(settings: ModelSettings, shape: InputShape) -> int:
    """How many frames a run takes at most."""
    return shape.batch or settings.max_batch


def input_size(settings: ModelSettings, shape: InputShape, metadata: Metadata) -> tuple[int, int]:
    """The size of a static model, else the largest sides an image may take, multiples of the stride.

    A model that letterboxes in its graph has its own size, whatever is asked for.
    """
    asked = 0 if metadata.letterboxes else settings.input_size
    free = (asked, asked) if asked else metadata.image_size or (_DEFAULT_SIZE, _DEFAULT_SIZE)
    stride = metadata.stride
    rounded = [-(-side // stride) * stride for side in free]
    return shape.height or rounded[0], shape.width or rounded[1]


def cpu_threads(settings: ModelSettings) -> int:
    """CPU threads of the model in all."""
    return settings.threads or providers.available_threads()


def cpu_lanes(settings: ModelSettings) -> int:
    """How many runs of the model are in work at a time on the CPU."""
    return providers.share(cpu_threads(settings), settings.lanes)[0]
