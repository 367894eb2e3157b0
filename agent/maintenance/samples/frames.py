"""One camera's frames on their way to samples: what the reasons look at, and the JPEG of those that are chosen."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.config.schema import SampleSettings
from agent.core.types import Detections, FrameResult
from agent.detection import ModelInfo
from agent.features.distance import EmbeddingModel
from agent.maintenance.samples.reasons import REASONS
from agent.maintenance.samples.sample import Box, Sample, id_of
from agent.maintenance.samples.selection import Pick, Selection, Signature, signature_of
from agent.maintenance.samples.view import SampleView

NEIGHBOURS_NS = 1_000_000_000
_GREY = (16, 16)
_COARSE = (64, 64)
_CHANGED = 12  # grey levels
_PIXELATED = 12  # blocks across a box that is blurred
_QUALITY = 90


class Encoded(NamedTuple):
    """A sample but for its reason, its JPEG, and the class names of its model."""

    sample: Sample
    jpeg: bytes
    names: tuple[str, ...]


class CameraFrames:
    """The selection of one camera; `drifting` and `estimate`, of how right the model is, are set by whoever knows.

    One thread's own.
    """

    def __init__(self, camera: str, settings: SampleSettings, chance: random.Random) -> None:
        self._camera, self._settings = camera, settings
        self._selection = Selection(settings.per_day, settings.reasons or tuple(REASONS), chance)
        self._usual, self._model = EmbeddingModel(), ""
        self._judged_next: FrameResult | None = None
        self._before: Detections | None = None
        self._before_ns = 0
        self._grey: NDArray[np.uint8] | None = None
        self.drifting = False
        self.estimate: float | None = None

    def add(self, result: FrameResult, info: ModelInfo) -> list[Pick]:
        """One more frame: the one before it is judged, for now it has neighbours; what was chosen."""
        judged, self._judged_next = self._judged_next, result
        if judged is None:
            return []
        if info.sha256 != self._model:  # another model's embeddings and boxes cannot be compared
            self._usual, self._model, self._before = EmbeddingModel(), info.sha256, None
            self._selection.renew()
        if judged.detections.model != info.sha256:  # at a deployment a frame may be of the model before
            return []
        at = judged.frame.monotonic_ns
        grey = cv2.cvtColor(
            cv2.resize(judged.frame.image, _COARSE, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY
        )
        moved = 0.0 if self._grey is None else float((cv2.absdiff(grey, self._grey) > _CHANGED).mean())
        self._grey = np.asarray(grey, dtype=np.uint8)
        view = SampleView(
            detections=judged.detections,
            before=self._before if at - self._before_ns <= NEIGHBOURS_NS else None,
            after=result.detections if self._follows(result, at) else None,
            moved=moved,
            novelty=self._novelty(judged.detections),
            drifting=self.drifting,
        )
        self._before, self._before_ns = judged.detections, at
        signature = self._signature(judged.detections, self._grey)
        if signature is None:
            return []
        interests = {name: interest(view) for name, interest in REASONS.items()}
        return self._selection.add(
            at / 1e9,
            interests,
            signature,
            lambda: encoded(judged, info, self._settings.blur, self.estimate),
        )

    def add_disputed(self, result: FrameResult, info: ModelInfo, disagreement: float) -> list[Pick]:
        """A frame on which another model found other things; it has been seen by `add`, so the audit has it already."""
        if result.detections.model != info.sha256:
            return []
        grey = cv2.cvtColor(
            cv2.resize(result.frame.image, _COARSE, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY
        )
        signature = self._signature(result.detections, np.asarray(grey, dtype=np.uint8))
        if signature is None:
            return []
        view = SampleView(
            detections=result.detections,
            before=None,
            after=None,
            moved=0.0,
            novelty=math.nan,
            drifting=False,
            disagreement=disagreement,
        )
        return self._selection.add(
            result.frame.monotonic_ns / 1e9,
            {"shadow": REASONS["shadow"](view)},
            signature,
            lambda: encoded(result, info, self._settings.blur),
            audit=False,
        )

    def due(self, now: float) -> list[Pick]:
        """What was chosen of the stretches that ended by `now` (monotonic)."""
        return self._selection.due(now)

    def _follows(self, result: FrameResult, at: int) -> bool:
        """Whether it is of the same model and comes soon after `at` (monotonic nanoseconds)."""
        return result.detections.model == self._model and result.frame.monotonic_ns - at <= NEIGHBOURS_NS

    def _novelty(self, found: Detections) -> float:
        """The distance over its limit; the embedding is learnt."""
        if found.embedding is None:
            return math.nan
        distance = self._usual.distance(found.embedding)
        limit = self._usual.limit() if math.isfinite(distance) else math.nan
        self._usual.add(found.embedding)
        return distance / limit

    @staticmethod
    def _signature(found: Detections, grey: NDArray[np.uint8]) -> Signature | None:
        by_embedding = None if found.embedding is None else signature_of(found.embedding)
        if by_embedding is not None:
            return by_embedding
        small = cv2.resize(grey, _GREY, interpolation=cv2.INTER_AREA).astype(np.float64)
        return signature_of(np.append(small - small.mean(), 1.0))


def encoded(
    result: FrameResult, info: ModelInfo, blur: Sequence[str], estimate: float | None = None
) -> Encoded:
    """The frame of `result` as a sample without a reason; nobody in a box of the classes `blur` can be recognised."""
    frame, found = result.frame, result.detections
    height, width = frame.image.shape[:2]
    image = frame.image
    if blur:
        image = frame.image.copy()
        for box in found.boxes[np.isin(found.class_ids, list(info.class_ids(blur)))]:
            _pixelate(image, box)
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise ValueError("the frame cannot be encoded as a JPEG")
    sample = Sample(
        id=id_of(frame.camera, frame.captured_at, "x"),
        camera=frame.camera,
        captured_at=frame.captured_at,
        reason="x",
        width=width,
        height=height,
        model=info.sha256,
        threshold=round(float(found.threshold), 4),
        found=boxes_of(found, width, height),
        estimate=estimate,
    )
    return Encoded(sample, data.tobytes(), info.classes)


def boxes_of(found: Detections, width: int, height: int) -> tuple[Box, ...]:
    """Detections in a frame of that size, in shares of it."""
    shares = np.clip(found.boxes.astype(np.float64) / (width, height, width, height), 0.0, 1.0)
    return tuple(
        Box(
            class_id=class_id,
            x=(left + right) / 2,
            y=(top + bottom) / 2,
            width=right - left,
            height=bottom - top,
            score=min(1.0, max(0.0, score)),
        )
        for (left, top, right, bottom), class_id, score in zip(
            shares.tolist(), found.class_ids.tolist(), found.scores.tolist(), strict=True
        )
    )


def _pixelate(image: NDArray[np.uint8], box: NDArray[np.float32]) -> None:
    """Replace the area of a box by coarse blocks."""
    height, width = image.shape[:2]
    left, top = (max(0, int(one)) for one in box[:2])
    right, bottom = min(width, int(box[2]) + 1), min(height, int(box[3]) + 1)
    if right <= left or bottom <= top:
        return
    area = image[top:bottom, left:right]
    blocks = max(1, min(_PIXELATED, right - left)), max(1, min(_PIXELATED, bottom - top))
    coarse = cv2.resize(area, blocks, interpolation=cv2.INTER_AREA)
    image[top:bottom, left:right] = cv2.resize(
        coarse, (right - left, bottom - top), interpolation=cv2.INTER_NEAREST
    )
