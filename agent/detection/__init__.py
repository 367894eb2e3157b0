"""Detection finds boxes in images; here is the protocol of a detector."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.core.types import Detections, Frame

_UNNAMED = re.compile("class[0-9]{1,6}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What is known of an opened model.

    `sha256` is that of the file; references are bound to it. `classes` are the names by class id (end-to-end
    models without metadata have none: use `class_name`).
    `input_size` is (height, width): exact for a static model, the largest sides for a dynamic one.
    `max_batch` is the most frames one run takes (1 for most static models). `embedding_size` is 0 without
    one. `provider` is what really runs the model ("cpu", "cuda", "tensorrt", "openvino") in `precision` ("fp32",
    "bf16", "fp16", "int8"), on `threads` of the CPU (0 beside it) and up to `lanes` frames or batches at a time;
    `runtime` names its library, `choice` says why it was chosen ("": nothing was to be chosen). `int8_f1` is
    what an INT8 model reached by its fp32 source (0: it is none). `letterboxes` is True where frames of any size go
    in as they are and the boxes come out in their pixels.
    """

    path: str
    sha256: str
    name: str
    classes: tuple[str, ...]
    input_size: tuple[int, int]
    stride: int
    input_type: str
    dynamic_batch: bool
    dynamic_size: bool
    max_batch: int
    layout: str
    embedding_size: int
    provider: str
    precision: str
    threads: int
    lanes: int
    runtime: str
    source: str
    choice: str = ""
    int8_f1: float = 0.0
    letterboxes: bool = False

    def class_name(self, class_id: int) -> str:
        """What a class is called; `class7` where the model does not say."""
        return self.classes[class_id] if 0 <= class_id < len(self.classes) else f"class{class_id}"

    def class_ids(self, names: Collection[str]) -> frozenset[int]:
        """The numbers of all classes that `class_name` calls by one of `names`."""
        if self.classes:
            return frozenset(number for number, name in enumerate(self.classes) if name in names)
        return frozenset(int(name[5:]) for name in names if _UNNAMED.fullmatch(name))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DetectedBatch:
    """Detections of each frame, in the order given, and what the stages of the whole batch took (seconds)."""

    detections: tuple[Detections, ...]
    preprocess: float
    inference: float
    postprocess: float


Detect = Callable[[Sequence[Frame]], DetectedBatch]
"""Detects on frames of any shapes. Raises InferenceError."""


class ObjectDetector(Protocol):
    """What the scheduler needs of a detector."""

    @property
    def info(self) -> ModelInfo:
        """What is known of the model; known from the first `open` on."""

    def open(self) -> None:
        """Load the model and warm it up; does nothing if it is open. Raises ModelError or MissingExtra."""

    def bound(self) -> Detect:
        """What detects with the model that is in force now, even when another was put in force. Raises ModelError."""

    def close(self) -> None:
        """Let go of the model; may be called twice."""
