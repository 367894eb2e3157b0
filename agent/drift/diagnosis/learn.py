"""Learning a camera's signatures: known causes applied to its own frames, one step at a time. Pure.

What a cause does to the model is learnt apart, once causes can be named: it takes as long again.
The frames are split in two: what is compared with, and what causes are applied to. So the shift of frames that nothing
happened to is known too, and no signature is finer than that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.core.types import Detections, Image
from agent.drift.diagnosis import CAUSES
from agent.drift.diagnosis.cause import MODEL_VARIANTS, SEVERITIES
from agent.drift.diagnosis.match import IMAGE_FEATURES, shift_of
from agent.drift.diagnosis.portrait import Portrait, PortraitComparison, look_at, portrait
from agent.drift.diagnosis.signatures import Signatures
from agent.drift.medians import medians
from agent.features import FEATURES
from agent.features.extract import extract

LEAST_FRAMES = 8
"""Four to compare with, and four to apply causes to."""

LARGEST_PIXELS = 640 * 360
"""Of a frame that is kept or looked at: larger ones are shrunk."""

LEAST_SIDE = 64
"""Pixels: a smaller frame shows no places."""

_COLUMNS = [FEATURES.index(name) for name in IMAGE_FEATURES]
_NOTHING = Detections(
    boxes=np.zeros((0, 4), dtype=np.float32),
    scores=np.zeros(0, dtype=np.float32),
    class_ids=np.zeros(0, dtype=np.int64),
    threshold=0.0,
    candidates=0,
)


@dataclass(frozen=True, slots=True)
class CauseStep:
    """A cause, the number of its variant, and a severity."""

    cause: str
    variant: int
    severity: float


STEPS = tuple(
    CauseStep(name, variant, severity)
    for name, cause in CAUSES.items()
    for variant in range(cause.variants)
    for severity in SEVERITIES
)


MODEL_STEPS = tuple(step for step in STEPS if step.cause != "moved" and step.variant < MODEL_VARIANTS)
"""Those that the model is run on: where a view moved its boxes moved too, and cannot be compared by place."""


def small(image: Image) -> Image | None:
    """A copy of at most LARGEST_PIXELS; None of a frame that is too small to be looked at."""
    height, width = image.shape[:2]
    scale = math.sqrt(LARGEST_PIXELS / (height * width))
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return image.copy() if min(image.shape[:2]) >= LEAST_SIDE else None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureSample:
    """Some frames of a camera in numbers: their image features `vectors` (n, 10) and their `portrait`."""

    vectors: NDArray[np.float64]
    portrait: Portrait


def sample(images: Sequence[Image]) -> FeatureSample:
    """Images of one size in numbers."""
    vectors = [extract(image, _NOTHING)[0][_COLUMNS] for image in images]
    return FeatureSample(
        vectors=np.array(vectors, dtype=np.float64), portrait=portrait([look_at(each) for each in images])
    )


def image_medians(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """The medians of IMAGE_FEATURES over frames with `vectors` (n, F) of features, (10,); NaN where unknown."""
    return medians(np.asarray(vectors, dtype=np.float64)[:, _COLUMNS])


def changing(images: Sequence[Image]) -> list[Image]:
    """Those of a camera's images to which causes are applied; the others are what is compared with."""
    return list(images)[1::2]


def changed(images: Sequence[Image], step: CauseStep) -> list[Image]:
    """Images with a cause applied."""
    return [CAUSES[step.cause].apply(image, step.severity, step.variant) for image in images]


def found_by_cause(shares: Mapping[CauseStep, float]) -> dict[str, NDArray[np.float64]]:
    """The share of detections still found in each of MODEL_STEPS, as `Signatures.found` has it; NaN: unknown."""
    return {
        name: np.array(
            [
                [shares.get(CauseStep(name, variant, each), math.nan) for each in SEVERITIES]
                for variant in range(cause.model_variants)
            ]
        )
        for name, cause in CAUSES.items()
    }


class Learner:
    """Gathers the signatures of `images`, LEAST_FRAMES and more of one size, in order of time; `frames` names them."""

    def __init__(self, images: Sequence[Image], frames: str) -> None:
        self.frames, self.images = frames, changing(images)
        self._compare = PortraitComparison(sample(list(images)[0::2]).portrait)
        self._usual = np.percentile(sample(images).vectors, (10.0, 50.0, 90.0), axis=0)
        self._none = self._shift(self.images)
        self._shifts: dict[CauseStep, NDArray[np.float64]] = {}

    def add(self, step: CauseStep) -> None:
        """Apply a cause."""
        self._shifts[step] = self._shift(changed(self.images, step))

    def result(self) -> Signatures:
        """The signatures, once all STEPS were added."""
        return Signatures(
            frames=self.frames,
            none=self._none,
            curves={
                name: [
                    np.array([self._shifts[CauseStep(name, variant, each)] for each in SEVERITIES])
                    for variant in range(cause.variants)
                ]
                for name, cause in CAUSES.items()
            },
            found={},
            portrait=self._compare.then,
        )

    def _shift(self, images: Sequence[Image]) -> NDArray[np.float64]:
        seen = sample(images)
        now = medians(seen.vectors)
        return shift_of(now, *self._usual, traits=self._compare(seen.portrait))
