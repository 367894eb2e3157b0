"""The detector: an ONNX model that turns frames into detections, on the best provider there is."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import structlog
from numpy.typing import NDArray

from agent.config.schema import ModelSettings
from agent.core import clock
from agent.core.errors import InferenceError, InferenceFailure, ModelError
from agent.core.types import Detections, Frame, Observation
from agent.detection import Detect, DetectedBatch, ModelInfo
from agent.detection.choice import choose
from agent.detection.choice_process import choose_beside
from agent.detection.layouts.layout import Candidates, Layout
from agent.detection.nms import suppress
from agent.detection.opening import OpenedModel, identify, open_model
from agent.detection.placement import LIVE_SHAPES, best_boxes, part_of, transplant
from agent.detection.plausibility import BoxCheck, Verification
from agent.detection.preprocess import InputType, Letterbox, letterboxed, plan, untouched
from agent.detection.reading import OutputReading
from agent.detection.trial import Trial

log = structlog.get_logger("vedette.detection")

_MOST_SHOWN = 8  # of a frame's best boxes those that may be shown alone


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Proposals:
    """Boxes of one image in input pixels, and where the image lies there; `seconds` is what the model took.

    `suppressed` is True where the model itself leaves no box twice.
    """

    found: Candidates
    letterbox: Letterbox
    suppressed: bool
    seconds: float


class Detector:
    """Runs one model; `open` may be called again after `close`, and neither while `detect` is at work.

    Several threads may call `detect`, `info.lanes` at best. On the CPU they run the model side by side, each on few
    threads: that takes less CPU time than many threads for one image. On a GPU it runs for one at a time,
    while the others prepare and read.
    `cache` is where TensorRT engines are kept.
    """

    def __init__(self, settings: ModelSettings, *, cache: Path | None = None) -> None:
        self.settings = settings
        self._cache = cache
        self._opened: OpenedModel | None = None
        self._info: ModelInfo | None = None
        self._checking = threading.Lock()
        self.openings = 0
        """How often the model was opened."""

    @property
    def opened(self) -> bool:
        """Whether the model is open."""
        return self._opened is not None

    @property
    def verification(self) -> tuple[Verification, str]:
        """Whether what the model finds can be objects, and by what that is known."""
        if self._opened is None:
            return Verification.UNVERIFIED, "the model is not open"
        return self._opened.check.state, self._opened.check.reason

    def observations(self, at: float) -> list[Observation]:
        """What the rules should know of the model's boxes, observed `at` (Unix time)."""
        state, reason = self.verification
        implausible = float(state is Verification.IMPLAUSIBLE)
        return [Observation(metric="host.model_implausible", value=implausible, at=at, text=reason)]

    @property
    def info(self) -> ModelInfo:
        """What is known of the model; stays known after `close`."""
        if self._info is None:
            raise ModelError("the model was not opened yet")
        return self._info

    def open(self) -> None:
        """Load the model, see that it is a detector, warm it up; does nothing if it is open.

        Raises ModelError, or MissingExtra where ONNX Runtime is not installed. The first start with TensorRT
        builds an engine, which takes minutes.
        """
        if self._opened is not None:
            return
        started = clock.monotonic()
        path, sha256 = identify(self.settings)
        chosen, reason = choose(
            self.settings, self._cache, path, sha256, partial(self._with, path, sha256), beside=choose_beside
        )
        self._opened = opened = chosen._ready()
        self._info = replace(opened.info, choice=reason)
        self.openings += 1
        log.info(
            "model is ready",
            model=Path(self._info.path).name,
            provider=self._info.provider,
            precision=self._info.precision,
            layout=self._info.layout,
            classes=len(self._info.classes),
            input="x".join(str(side) for side in self._info.input_size),
            seconds=round(clock.monotonic() - started, 2),
        )
        _report(opened.check, Path(self._info.path).name)

    def _with(self, path: Path, sha256: str, settings: ModelSettings) -> Detector:
        """An open detector of the same model, run by what `settings` name."""
        return Detector(settings, cache=self._cache).opened_with(path, sha256)

    def opened_with(self, path: Path, sha256: str) -> Detector:
        """Itself, the model at `path` open as the settings say; nothing is chosen. Raises VedetteError."""
        self._opened = open_model(self.settings, self._cache, path, sha256)
        self._info = self._opened.info
        return self

    def close(self) -> None:
        """Let go of the model and its memory; may be called twice."""
        self._opened = None

    def exchange(self, other: Detector) -> None:
        """From the next run on this detector has the model of `other`, and `other` this one's; both are open.

        Runs in other threads, and what `bound` gave, end with the model that they began with.
        """
        if not (self.opened and other.opened):
            raise ModelError("the model is closed")
        self._opened, other._opened = other._opened, self._opened
        self._info, other._info = other._info, self._info
        self.settings, other.settings = other.settings, self.settings
        self.openings += 1
        other.openings += 1

    def detect(self, frames: Sequence[Frame]) -> DetectedBatch:
        """Detect on frames of any shapes; those that need the same input size share a run.

        Raises InferenceError; then no frame has a result.
        """
        return self.bound()(frames)

    def bound(self) -> Detect:
        """`detect` by the model that is open now, even when another was put in its place."""
        return partial(self._detect, self._ready())

    def _detect(self, opened: OpenedModel, frames: Sequence[Frame]) -> DetectedBatch:
        found: list[Detections | None] = [None] * len(frames)
        seconds = [0.0, 0.0, 0.0]
        for indices, boxes in self._runs(frames, opened):
            marks = [clock.monotonic()]
            with self._prepared(opened, [frames[index] for index in indices], boxes) as batch:
                marks.append(clock.monotonic())
                with opened.alone:
                    marks.append(clock.monotonic())
                    outputs = opened.runner.run(batch)
                    marks.append(clock.monotonic())
            for row, (index, box) in enumerate(zip(indices, boxes, strict=True)):
                found[index] = self._read(opened, outputs, row, box, frames[index])
            marks.append(clock.monotonic())
            began, prepared, free, ran, read = marks
            spent = (prepared - began, ran - free, read - ran)  # waiting for another thread's run is no work
            seconds = [total + more for total, more in zip(seconds, spent, strict=True)]
        return DetectedBatch(
            detections=tuple(one for one in found if one is not None),
            preprocess=seconds[0],
            inference=seconds[1],
            postprocess=seconds[2],
        )

    def propose(
        self, frame: Frame, *, confidence: float | None = None, every_class: bool = False
    ) -> Proposals:
        """Boxes of one frame above `confidence` (None: that of the settings), before suppression.

        For comparisons and evaluations. `every_class`: a box counts for each class above the confidence, not for the
        best alone. Raises InferenceError, ModelError.
        """
        opened = self._ready()
        ((_, boxes),) = self._runs([frame], opened)
        with self._prepared(opened, [frame], boxes) as batch, opened.alone:
            began = clock.monotonic()
            outputs = opened.runner.run(batch)
            seconds = clock.monotonic() - began
        decode = (opened.layout.pairs if every_class else None) or opened.layout.decode
        least = self.settings.confidence if confidence is None else confidence
        found = decode(outputs[opened.boxes_output][0], least, boxes[0].size)
        return Proposals(
            found=found, letterbox=boxes[0], suppressed=opened.layout.suppressed, seconds=seconds
        )

    def _ready(self) -> OpenedModel:
        """The model; ModelError where it is closed."""
        opened = self._opened  # (another thread may close it)
        if opened is None:
            raise ModelError("the model is closed")
        return opened

    def _runs(self, frames: Sequence[Frame], opened: OpenedModel) -> list[tuple[list[int], list[Letterbox]]]:
        """Which frames (by index) go into which model run, with their letterboxes."""
        groups: dict[tuple[int, int], tuple[list[int], list[Letterbox]]] = {}
        for index, frame in enumerate(frames):
            box = _letterbox(frame, opened)
            indices, boxes = groups.setdefault(box.size, ([], []))
            indices.append(index)
            boxes.append(box)
        step = opened.info.max_batch
        return [
            (indices[start : start + step], boxes[start : start + step])
            for indices, boxes in groups.values()
            for start in range(0, len(indices), step)
        ]

    @contextmanager
    def _prepared(
        self, opened: OpenedModel, frames: Sequence[Frame], boxes: Sequence[Letterbox]
    ) -> Iterator[NDArray[Any]]:
        """The model's input; its memory is lent until the model has run."""
        info = opened.info
        # it grows with the batches that come, not with max_batch
        capacity = len(frames) if info.dynamic_batch else info.max_batch
        if info.letterboxes and capacity == 1 and frames[0].image.flags.c_contiguous:
            yield frames[0].image[None]  # a frame alone needs no copy
            return
        with opened.spare.lend(InputType(info.input_type), boxes[0].size, capacity) as buffer:
            try:
                for slot, (frame, box) in enumerate(zip(frames, boxes, strict=True)):
                    buffer.write(slot, frame.image, box)
            except cv2.error as error:
                raise InferenceError(
                    f"a frame cannot be resized: {error}", kind=InferenceFailure.OTHER
                ) from error
            yield buffer.array[:capacity]

    def _read(
        self, opened: OpenedModel, outputs: list[NDArray[Any]], row: int, box: Letterbox, frame: Frame
    ) -> Detections:
        scope, threshold = frame.scope, frame.scope.confidence or self.settings.confidence
        found = opened.layout.decode(outputs[opened.boxes_output][row], threshold, box.size)
        if opened.check.undecided:
            self._check(opened, found, box, frame)
        if scope.classes:
            found = found.of_classes(opened.info.class_ids(scope.classes))
        placed = (
            self._kept(opened.layout, found, box, frame) if len(found) else found
        )  # as mostly of a quiet camera
        embedding = None
        if opened.embedding_output is not None:
            embedding = outputs[opened.embedding_output][row].astype(np.float32).reshape(-1)
            embedding.flags.writeable = False
        for array in (placed.boxes, placed.scores, placed.class_ids):
            array.flags.writeable = False
        return Detections(
            boxes=placed.boxes,
            scores=placed.scores,
            class_ids=placed.class_ids,
            threshold=threshold,
            candidates=len(found),
            embedding=embedding,
            model=opened.info.sha256,
        )

    def _kept(self, layout: Layout, found: Candidates, box: Letterbox, frame: Frame) -> Candidates:
        """The boxes that stay, in the frame's pixels: one for each object, in the camera's zones, best score first."""
        most, scope = self.settings.max_detections, frame.scope
        limit = len(found) if scope.zoned else most  # what is outside takes no one's place
        if layout.suppressed:
            kept = np.argsort(-found.scores, kind="stable")[:limit]
        else:
            kept = suppress(found.boxes, found.scores, found.class_ids, iou=self.settings.iou, limit=limit)
        if scope.zoned:
            height, width = frame.image.shape[:2]
            kept = kept[scope.counted(box.to_source(found.boxes[kept]), (width, height))]
        kept = kept[:most]
        return Candidates(
            boxes=box.to_source(found.boxes[kept]),
            scores=found.scores[kept],
            class_ids=found.class_ids[kept],
        )

    def _check(self, opened: OpenedModel, found: Candidates, box: Letterbox, frame: Frame) -> None:
        """Judge the model by the boxes of a frame; until it is decided one of them is shown to it alone."""
        again = _found_again(opened, found, box, frame) if len(found) else None
        with self._checking:
            changed = opened.check.add(found, box.size)
            if again is not None:
                changed = opened.check.add_shown(again=again) or changed
            if changed:
                _report(opened.check, opened.info.name)


def _found_again(opened: OpenedModel, found: Candidates, box: Letterbox, frame: Frame) -> bool | None:
    """Whether what a box of the frame holds is found where it alone is shown; None where that cannot be tried."""
    boxes = [each for each in best_boxes(found, _MOST_SHOWN) if part_of(each, box.size)]
    turn = opened.check.shown
    shape = LIVE_SHAPES[turn % len(LIVE_SHAPES)]
    moved = transplant(letterboxed(frame.image, box), boxes[turn % len(boxes)], *shape) if boxes else None
    if moved is None:
        return None
    info = opened.info
    reading = OutputReading(
        runner=opened.runner,
        layout=opened.layout,
        boxes_output=opened.boxes_output,
        trial=Trial(InputType(info.input_type), box.size, 1 if info.dynamic_batch else info.max_batch),
        confidence=float(found.scores.min()) / 2,  # less of it is seen
    )
    try:
        with opened.alone:
            return moved.found_in(reading.look(moved.image))
    except InferenceError:
        return None


def _letterbox(frame: Frame, opened: OpenedModel) -> Letterbox:
    image = frame.image
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise InferenceError(
            f"camera {frame.camera}: frame {frame.index} is not a colour image "
            f"(shape {image.shape}, {image.dtype})",
            kind=InferenceFailure.OTHER,
        )
    height, width = image.shape[:2]
    info = opened.info
    if info.letterboxes:
        return untouched((height, width))
    return plan(
        (height, width),
        info.input_size,
        stride=info.stride,
        minimal=info.dynamic_size,
        stretched=opened.layout.stretched,
    )


def _report(check: BoxCheck, model: str) -> None:
    if check.state is Verification.VERIFIED:
        log.info("model is verified: its boxes lie on objects", model=model, by=check.reason)
    elif check.state is Verification.UNVERIFIED and not check.undecided:
        log.warning(
            "model cannot be verified",
            model=model,
            reason=check.reason,
            advice="look at a snapshot with boxes; export it anew with `vedette model prepare`",
        )
    elif check.state is Verification.UNVERIFIED:
        log.info("model is not verified yet, its first boxes decide", model=model, reason=check.reason)
    else:
        log.error(
            "the model's boxes cannot be objects",
            model=model,
            reason=check.reason,
            advice="export it anew with `vedette model prepare`, or set model.layout",
        )
