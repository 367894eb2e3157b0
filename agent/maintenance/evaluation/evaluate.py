"""Evaluate a model on labelled images: run it as Ultralytics' `val` does, and match what it finds.

That is: every box of a score above 0.001 counts for each class, suppression at IoU 0.7, at most 300 boxes an image,
matched in pixels of the model's input. Ultralytics pads by half a stride more where a model's size is free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from agent.config.schema import ModelSettings
from agent.core import memory as heap
from agent.core.class_names import counterparts
from agent.core.errors import ModelError
from agent.core.image_file import read_image
from agent.core.printable import printable
from agent.core.types import Frame
from agent.core.untrusted import BadInput
from agent.detection import ModelInfo
from agent.detection.engines import engine_of
from agent.detection.layouts.layout import Candidates
from agent.detection.nms import suppress
from agent.detection.preprocess import Letterbox
from agent.detection.session import Detector, Proposals
from agent.maintenance.evaluation.labels import LabelledImage, LabelledSet
from agent.maintenance.evaluation.matching import SIZES, THRESHOLDS, Boxes, Matching
from agent.maintenance.evaluation.scores import Outcome

_CONFIDENCE, _IOU, _MOST_BOXES = 0.001, 0.7, 300
_WARM = 3
"""Runs that are left out of the latency."""

Progress = Callable[[Iterable[LabelledImage], int], Iterable[LabelledImage]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """What a model found on a labelled set.

    `outcome` is over all boxes, `sizes` over those of one of COCO's sizes. `seconds` is what the model took of each
    image, `memory` how much the process grew by it (bytes). `unknown` are the classes of the set that the model does
    not have: all their boxes are missed. `left_out` are images that cannot be read.
    """

    info: ModelInfo
    outcome: Outcome
    sizes: Mapping[str, Outcome]
    groups: tuple[str, ...]
    seconds: NDArray[np.float64]
    memory: int
    unknown: tuple[str, ...]
    left_out: tuple[tuple[Path, str], ...]


def evaluate(
    model: ModelSettings, data: LabelledSet, *, progress: Progress = lambda images, _total: images
) -> Evaluation:
    """Run `model` over the set; ModelError where it cannot be opened or no image can be read."""
    engine_of(model, None).library()  # its memory is not the model's
    heap.trim()
    process = psutil.Process()
    before = process.memory_info().rss
    detector = Detector(replace(model, confidence=_CONFIDENCE, lanes=1))
    detector.open()
    try:
        gathered = _Gathered(_numbers(detector.info.classes, data.names))
        most = max([_MOST_BOXES, *(len(image.classes) for image in data.images)])
        for image in progress(data.images, len(data.images)):
            gathered.add(image, detector, most)
        memory = max(0, process.memory_info().rss - before)
    finally:
        detector.close()
    if not gathered.seconds:
        path, reason = gathered.left_out[0]
        raise ModelError(f"no image of the set can be read; the first, {path}, {reason}")
    known = {data.names[number] for number in gathered.numbers.values()}
    return Evaluation(
        info=detector.info,
        outcome=gathered.all.outcome(),
        sizes={size: boxes.outcome() for size, boxes in gathered.sizes.items()},
        groups=tuple(gathered.groups),
        seconds=np.array(gathered.seconds[_WARM:] or gathered.seconds),
        memory=memory,
        unknown=tuple(name for name in data.names if name not in known),
        left_out=tuple(gathered.left_out),
    )


def of_group(outcome: Outcome, groups: Sequence[str], group: str) -> Outcome:
    """What was found in, and labelled on, the images of one group."""
    chosen = np.array([one == group for one in groups])
    found, labels = chosen[outcome.images], chosen[outcome.label_images]
    return Outcome(
        scores=outcome.scores[found],
        classes=outcome.classes[found],
        images=outcome.images[found],
        right=outcome.right[found],
        counts=outcome.counts[found],
        label_classes=outcome.label_classes[labels],
        label_images=outcome.label_images[labels],
    )


def _numbers(model: Sequence[str], data: Sequence[str]) -> dict[int, int]:
    """The number in the set of each of the model's classes that it has, by name; ModelError where it has none.

    By number where the model's classes have no names.
    """
    named = counterparts(model, data)
    if not named and all(name == f"class{number}" for number, name in enumerate(model)):
        return {number: number for number in range(min(len(model), len(data)))}
    if not named:
        theirs, ours = (printable(", ".join(names[:8]), 200) for names in (data, model))
        raise ModelError(f"no class of the labels ({theirs}) is a class of the model ({ours})")
    return named


@dataclass(slots=True)
class _Pool:
    """What was found in image after image."""

    scores: list[NDArray[np.float64]] = field(default_factory=list)
    classes: list[NDArray[np.int64]] = field(default_factory=list)
    right: list[NDArray[np.bool_]] = field(default_factory=list)
    counts: list[NDArray[np.bool_]] = field(default_factory=list)
    labels: list[NDArray[np.int64]] = field(default_factory=list)

    def add(
        self, found: Boxes, scores: NDArray[np.float32], labels: NDArray[np.int64], right: NDArray[np.bool_],
        counts: NDArray[np.bool_],
    ) -> None:  # fmt: skip
        self.scores.append(scores.astype(np.float64))
        self.classes.append(found.classes)
        self.right.append(right)
        self.counts.append(counts)
        self.labels.append(labels)

    def outcome(self) -> Outcome:
        scores = np.concatenate(self.scores)
        order = np.argsort(-scores, kind="stable")
        return Outcome(
            scores=scores[order],
            classes=np.concatenate(self.classes)[order],
            images=_image_numbers(self.scores)[order],
            right=np.concatenate(self.right)[order],
            counts=np.concatenate(self.counts)[order],
            label_classes=np.concatenate(self.labels),
            label_images=_image_numbers(self.labels),
        )


def _image_numbers(parts: Sequence[NDArray[np.generic]]) -> NDArray[np.int64]:
    return np.repeat(np.arange(len(parts)), [len(part) for part in parts]).astype(np.int64)


class _Gathered:
    """Runs images and matches them, one after the other."""

    def __init__(self, numbers: Mapping[int, int]) -> None:
        self.numbers = dict(numbers)
        self.all, self.sizes = _Pool(), {size: _Pool() for size in SIZES}
        self.groups: list[str] = []
        self.seconds: list[float] = []
        self.left_out: list[tuple[Path, str]] = []

    def add(self, image: LabelledImage, detector: Detector, most: int) -> None:
        """One image; one that cannot be read is left out."""
        try:
            pixels = read_image(image.path)
        except BadInput as error:
            self.left_out.append((image.path, str(error)))
            return
        frame = Frame(camera="", index=len(self.seconds), image=pixels, captured_at=0.0, monotonic_ns=0)
        proposals = detector.propose(frame, every_class=True)
        self.seconds.append(proposals.seconds)
        self.groups.append(image.group)
        found, scores = self._found(proposals, most)
        labels = _labels(image, proposals.letterbox)
        matching = Matching(found, labels)
        everything = np.ones((len(scores), len(THRESHOLDS)), dtype=np.bool_)
        self.all.add(found, scores, labels.classes, matching.right(), everything)
        for size, pool in self.sizes.items():
            wanted, right, counts = matching.of_size(size)
            pool.add(found, scores, labels.classes[wanted], right, counts)

    def _found(self, proposals: Proposals, most: int) -> tuple[Boxes, NDArray[np.float32]]:
        """The boxes that stay, by falling score, with the class numbers of the set."""
        kept = _kept(proposals, most)
        classes = np.array(
            [self.numbers.get(int(class_id), -1) for class_id in proposals.found.class_ids[kept]], np.int64
        )
        kept, classes = kept[classes >= 0], classes[classes >= 0]
        boxes = proposals.found.boxes[kept]
        return _boxes(boxes, classes, proposals.letterbox), proposals.found.scores[kept]


def _kept(proposals: Proposals, most: int) -> NDArray[np.int64]:
    found: Candidates = proposals.found
    if proposals.suppressed:
        return np.argsort(-found.scores, kind="stable")[:most]
    return suppress(found.boxes, found.scores, found.class_ids, iou=_IOU, limit=most)


def _labels(image: LabelledImage, letterbox: Letterbox) -> Boxes:
    """The labels in pixels of the model's input."""
    (height, width), (top, left) = letterbox.content, letterbox.offset
    centres, halves = image.boxes[:, :2], image.boxes[:, 2:] / 2
    corners = np.concatenate((centres - halves, centres + halves), axis=1)
    scale = np.array([width, height] * 2, dtype=np.float32)
    offset = np.array([left, top] * 2, dtype=np.float32)
    return _boxes((corners * scale + offset).astype(np.float32), image.classes, letterbox)


def _boxes(boxes: NDArray[np.float32], classes: NDArray[np.int64], letterbox: Letterbox) -> Boxes:
    """With their areas in pixels of the image itself."""
    (height, width), (tall, wide) = letterbox.source, letterbox.content
    scale = np.float32(height / tall * width / wide)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) * scale
    return Boxes(boxes=boxes, classes=classes, areas=areas)
