"""Compares two builds of a model: runs both on images and matches their candidates before NMS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.config.schema import ModelSettings
from agent.core.errors import ModelError
from agent.core.image_file import read_image
from agent.core.types import Frame
from agent.core.untrusted import BadInput
from agent.detection.agreement import LEAST_SCORE, Tolerance, agree
from agent.detection.layouts.layout import Candidates
from agent.detection.session import Detector

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What was compared, and the worst that was found; `sure` boxes scored over 0.25."""

    pictures: int
    boxes: int
    sure: int
    least_iou: float
    largest_score_difference: float


def compare(source: Path, result: Path, images: Sequence[NDArray[np.uint8]], limit: Tolerance) -> Comparison:
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
    return Comparison(
        pictures=len(images),
        boxes=sum(one.boxes for one in found),
        sure=sum(one.sure for one in found),
        least_iou=round(min(one.least_iou for one in found), 4),
        largest_score_difference=round(max(one.largest_score_difference for one in found), 5),
    )


def _candidates(path: Path, images: Sequence[NDArray[np.uint8]]) -> list[Candidates]:
    detector = Detector(ModelSettings(path=str(path), provider="cpu", confidence=LEAST_SCORE, lanes=1))
    detector.open()
    try:
        frames = (
            Frame(camera="check", index=index, image=image, captured_at=0.0, monotonic_ns=0)
            for index, image in enumerate(images)
        )
        return [detector.propose(frame).found for frame in frames]
    finally:
        detector.close()


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
