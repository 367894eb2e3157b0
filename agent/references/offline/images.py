"""A reference of images: the same model and the same feature code, run over pictures instead of a live camera."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.cameras.privacy import PrivacyMasks
from agent.config.schema import ModelSettings
from agent.core.errors import ReferenceMismatch
from agent.core.image_file import read_image
from agent.core.polygon import Polygon
from agent.core.scope import WHOLE, Scope
from agent.core.types import Frame
from agent.core.untrusted import BadInput
from agent.detection.session import Detector
from agent.drift.reference import from_images
from agent.features import FEATURE_VERSION, FEATURES
from agent.features.distance import EmbeddingModel
from agent.features.extract import extract
from agent.features.extremes import Extremes
from agent.references.stored import StoredReference

LEAST_IMAGES = 20

Progress = Callable[[Iterable[Path], int], Iterable[Path]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePlan:
    """What to make: for `camera`, of `images`, by `model`; its live windows last `window_seconds` and hold
    `window_frames` sampled frames. The images are masked and judged as the camera's frames are: `privacy`, `scope`."""

    camera: str
    images: Sequence[Path]
    model: ModelSettings
    window_seconds: float
    window_frames: float
    privacy: tuple[Polygon, ...] = ()
    scope: Scope = WHOLE


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Built:
    """What came of it: `used` images and `boxes` in them by `model`; `unreadable` ones with the reason."""

    stored: StoredReference
    model: str
    used: int
    boxes: int
    unreadable: tuple[tuple[Path, str], ...]


def build(plan: ImagePlan, *, now: float, progress: Progress = lambda paths, _total: paths) -> Built:
    """Run the model over the images; ReferenceMismatch where fewer than LEAST_IMAGES can be read."""
    detector = Detector(replace(plan.model, lanes=1))  # one picture at a time may have all threads
    detector.open()
    vectors: list[NDArray[np.float32]] = []
    classes: Counter[int] = Counter()
    embedding = EmbeddingModel()
    unreadable: list[tuple[Path, str]] = []
    masks = PrivacyMasks(plan.privacy)
    for path in progress(plan.images, len(plan.images)):
        try:
            image = read_image(path)
        except BadInput as error:
            unreadable.append((path, str(error)))
            continue
        frame = masks.apply(_frame(plan, image, len(vectors)))
        detections = detector.detect([frame]).detections[0]
        vectors.append(extract(frame.image, detections, scope=frame.scope)[0])
        classes.update(detections.class_ids.tolist())
        if detections.embedding is not None:
            embedding.add(detections.embedding)
    info = detector.info
    detector.close()
    if len(vectors) < LEAST_IMAGES:
        more = f", {len(unreadable)} cannot be read (the first: {unreadable[0][0]})" if unreadable else ""
        raise ReferenceMismatch(
            f"{len(vectors)} images are too few for a reference{more}; expected at least {LEAST_IMAGES}"
        )
    table = np.stack(vectors)
    extremes = Extremes(len(FEATURES))
    extremes.add(table)
    low, high = extremes.limits()
    reference = from_images(
        table,
        classes,
        camera=plan.camera,
        features=FEATURES,
        model_sha256=info.sha256,
        feature_version=FEATURE_VERSION,
        window_seconds=plan.window_seconds,
        window_frames=plan.window_frames,
        now=now,
    )
    stored = StoredReference(
        reference=reference, low=low, high=high, embedding=embedding, made_by="images", final=True
    )
    return Built(
        stored=stored,
        model=info.name,
        used=len(vectors),
        boxes=sum(classes.values()),
        unreadable=tuple(unreadable),
    )


def _frame(plan: ImagePlan, image: NDArray[np.uint8], index: int) -> Frame:
    return Frame(
        camera=plan.camera,
        index=index,
        image=image,
        captured_at=0.0,
        monotonic_ns=0,
        decode_seconds=0.0,
        media_seconds=0.0,
        scope=plan.scope,
    )
