"""Compares two builds of a model: runs both on images and matches their candidates before NMS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.config.schema import ModelSettings
from agent.core.errors import ModelError
from agent.core.image_file import read_image
from agent.core.types import Detections, Frame
from agent.core.untrusted import BadInput
from agent.detection.agreement import LEAST_SCORE, Tolerance, agree
from agent.detection.layouts.layout import Candidates
from agent.detection.matching import IOU, BoxMatches, match_boxes
from agent.detection.nms import overlap
from agent.detection.preprocess import letterboxed, plan
from agent.detection.session import Detector
from agent.detection.trial import trial_image

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")


LEAST_F1, LEAST_MEAN_IOU = 0.99, 0.95
"""Of the objects of two builds that see slightly different pixels: how many are the same, and how well they overlap."""

LEAST_OBJECTS = 20
"""Objects of the first build; on fewer an F1 proves nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelComparison:
    """What was compared, and the worst that was found; `sure` boxes scored over 0.25.

    `f1` is that of the objects (None: candidates were compared, each with its partner).
    """

    pictures: int
    boxes: int
    sure: int
    least_iou: float
    largest_score_difference: float
    f1: float | None = None


def compare(
    source: Path, result: Path, images: Sequence[NDArray[np.uint8]], limit: Tolerance
) -> ModelComparison:
    """Run both models on `images` (H, W, 3) BGR. Raises ModelError if a box moved beyond the tolerance."""
    theirs, ours = (_candidates(path, images) for path in (source, result))
    found = [agree(before, after, limit) for before, after in zip(theirs, ours, strict=True)]
    for index, one in enumerate(found):
        if one.lost is not None:
            score, iou, difference = one.lost
            raise ModelError(
                f"the prepared model does not find what its source finds: image {index}, a box of score "
                f"{score:.3f} has a partner with IoU {iou:.3f}, score {difference:.3f} off"
            )
    return ModelComparison(
        pictures=len(images),
        boxes=sum(one.boxes for one in found),
        sure=sum(one.sure for one in found),
        least_iou=round(min(one.least_iou for one in found), 4),
        largest_score_difference=round(max(one.largest_score_difference for one in found), 5),
    )


def compare_objects(source: Path, result: Path, images: Sequence[NDArray[np.uint8]]) -> ModelComparison:
    """Run both detectors on `images` (H, W, 3) BGR, each letterboxing its own way, and match what they find.

    Raises ModelError where their objects are not the same, or too few to decide.
    """
    theirs, ours = (_objects(path, images) for path in (source, result))
    matches, pairs = BoxMatches(), []
    for one, other in zip(theirs, ours, strict=True):
        matches += match_boxes(one, (), other, ())
        pairs += _pairs(one, other)
    objects = sum(len(one) for one in theirs)
    if objects < LEAST_OBJECTS:
        raise ModelError(
            f"the model finds {objects} objects on {len(images)} images, at least {LEAST_OBJECTS} are needed to see "
            "whether it may letterbox in its graph: give images with objects in them with --images"
        )
    f1 = round(matches.f1(1) or 0.0, 4)
    mean = float(np.mean([iou for iou, _ in pairs] or [0.0]))
    if f1 < LEAST_F1 or mean < LEAST_MEAN_IOU:
        raise ModelError(
            f"letterboxing in the graph finds other objects than on the CPU: F1 {f1:.3f}, mean IoU {mean:.3f} over "
            f"{objects} objects; at least {LEAST_F1} and {LEAST_MEAN_IOU} are asked for: prepare it without "
            "--letterbox graph"
        )
    return ModelComparison(
        pictures=len(images),
        boxes=objects,
        sure=objects,
        least_iou=round(min(iou for iou, _ in pairs), 4),
        largest_score_difference=round(max(difference for _, difference in pairs), 5),
        f1=f1,
    )


def _objects(path: Path, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
    with _opened(ModelSettings(path=str(path), provider="cpu", lanes=1)) as detector:
        return [detector.detect([frame]).detections[0] for frame in _frames(images)]


def _pairs(one: Detections, other: Detections) -> list[tuple[float, float]]:
    """IoU and score difference of each object of `one` with the object of `other` that overlaps it most."""
    if not (len(one) and len(other)):
        return []
    ious = overlap(one.boxes, other.boxes) * (one.class_ids[:, None] == other.class_ids[None, :])
    partners = ious.argmax(axis=1)
    return [
        (float(ious[box, partner]), abs(float(one.scores[box] - other.scores[partner])))
        for box, partner in enumerate(partners)
        if ious[box, partner] >= IOU
    ]


def _candidates(path: Path, images: Sequence[NDArray[np.uint8]]) -> list[Candidates]:
    settings = ModelSettings(path=str(path), provider="cpu", confidence=LEAST_SCORE, lanes=1)
    with _opened(settings) as detector:
        return [detector.propose(frame).found for frame in _frames(images)]


@contextmanager
def _opened(settings: ModelSettings) -> Iterator[Detector]:
    detector = Detector(settings)
    detector.open()
    try:
        yield detector
    finally:
        detector.close()


def _frames(images: Sequence[NDArray[np.uint8]]) -> Iterator[Frame]:
    for index, image in enumerate(images):
        yield Frame(camera="check", index=index, image=image, captured_at=0.0, monotonic_ns=0)


def read_pictures(folder: Path, most: int = 32) -> list[NDArray[np.uint8]]:
    """Up to `most` images of a folder. Raises ModelError if there is none."""
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())
    found = [image for path in paths[:most] if (image := _image(path)) is not None]
    if not found:
        raise ModelError(f"{folder} has no images ({', '.join(_SUFFIXES)}) to check the model on")
    return found


def _image(path: Path) -> NDArray[np.uint8] | None:
    try:
        return read_image(path)
    except BadInput:
        return None


def drawn_images() -> list[NDArray[np.uint8]]:
    """Images to check on where no real ones are given: noise, and a drawn street."""
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    return [noise, _street((480, 640)), _street((720, 1280)), _street((640, 400))]


def photographs() -> list[NDArray[np.uint8]]:
    """The built-in photographs in the shapes of cameras, to compare objects on where no real images are given."""
    shapes = (
        (1080, 1920),
        (720, 1280),
        (432, 768),
        (480, 640),
        (1280, 720),
        (500, 500),
        (577, 1023),
        (960, 1280),
    )
    return [fitted(trial_image()[:320], shape) for shape in shapes]


def fitted(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """An image letterboxed into `size` (height, width), untouched where it has that size."""
    return letterboxed(image, plan((image.shape[0], image.shape[1]), size, stride=1, minimal=False))


def _street(shape: tuple[int, int]) -> NDArray[np.uint8]:
    height, width = shape
    street = np.full((height, width, 3), (200, 180, 160), np.uint8)
    street[height // 2 :] = (90, 90, 90)
    for step in range(4):
        x, y, unit = width * (step + 1) // 5, height * 6 // 10, height // 12
        cv2.ellipse(street, (x, y), (unit // 2, unit), 0, 0, 360, (60, 40, 160), -1)  # a body,
        cv2.circle(street, (x, y - unit * 3 // 2), unit // 2, (150, 180, 220), -1)  # a head,
        cv2.rectangle(street, (x - unit, y + unit), (x + 2 * unit, y + 2 * unit), (40, 40, 200), -1)  # a car
        cv2.circle(street, (x, y + 2 * unit), unit // 3, (20, 20, 20), -1)
        cv2.circle(street, (x + unit, y + 2 * unit), unit // 3, (20, 20, 20), -1)
    return street
