"""The last frame of each camera with its boxes, drawn only on request."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from dataclasses import fields as dataclass_fields
from datetime import datetime, timezone
from typing import Any, NamedTuple

import cv2
import numpy as np

from agent.core.arguments import Handler, check_names, take_word
from agent.core.errors import VedetteError
from agent.core.nearest import nearest
from agent.core.types import Detections, FrameResult, Image

WIDEST = 960
"""Pixels of a snapshot's longer side, at most."""


class Bounds(NamedTuple):
    """How large a JPEG may be: pixels of its longer side, and bytes."""

    pixels: int
    bytes: int


LARGE = Bounds(
    WIDEST, 400_000
)  # in base64, with the boxes, below what the control socket takes for one answer
SMALL = Bounds(640, 40_000)  # in base64 below the 64 kB of a message
QUALITIES = (80, 60, 40, 20)
MOST_BOXES = 300
GREEN, WHITE, BLACK = (60, 220, 60), (255, 255, 255), (0, 0, 0)
FONT, FONT_SIZE = cv2.FONT_HERSHEY_SIMPLEX, 0.45


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnBox:
    """One detection: its class, its score (0..1) and its corners in pixels of the source."""

    name: str
    score: float
    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A camera's frame of `captured_at` (Unix time) and the detections on it, the best score first.

    `width` and `height` are the source's, `boxes` MOST_BOXES of the `detections` at most; `jpeg` shows them.
    """

    camera: str
    captured_at: float
    width: int
    height: int
    detections: int
    boxes: Sequence[DrawnBox]
    jpeg: bytes


class LastSnapshots:
    """Keeps the newest result of each camera; replacing a reference is atomic, so there is no lock.

    `class_names` gives the names by class id.
    """

    def __init__(self, class_names: Callable[[], Sequence[str]] = tuple) -> None:
        self._class_names = class_names
        self._results: dict[str, FrameResult] = {}

    def keep(self, result: FrameResult) -> None:
        """Keep the newest result of its camera."""
        self._results[result.frame.camera] = result

    def remove(self, camera: str) -> None:
        """Discard the frame of a camera that was removed."""
        self._results.pop(camera, None)

    def cameras(self) -> list[str]:
        """The cameras that have given a frame."""
        return sorted(self._results)

    def results(self) -> list[FrameResult]:
        """The newest result of each camera."""
        return list(self._results.values())

    def jpeg(self, camera: str) -> bytes | None:
        """The last frame of `camera`, boxes and time drawn in, as a JPEG of at most WIDEST pixels; None if nothing."""
        result = self._results.get(camera)
        return None if result is None else drawn(result, self._class_names())

    def small(self, camera: str) -> Snapshot:
        """One whose JPEG fits a message: SMALL pixels and bytes at most; VedetteError where there is none."""
        result = self._results.get(camera)
        if result is None:
            raise VedetteError(self._no_snapshot(camera))
        return snapshot_of(result, self._class_names(), SMALL)

    def snapshot(self, camera: str) -> Snapshot | None:
        """The same as `jpeg` with its boxes as values."""
        result = self._results.get(camera)
        return None if result is None else snapshot_of(result, self._class_names())

    def handlers(self) -> dict[str, Handler]:
        """The command `snapshot`: of `camera`; without one, the cameras that have given a frame."""
        return {"snapshot": self._command}

    def _command(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        check_names(args, "camera")
        if args.get("camera") is None:
            return {"cameras": self.cameras()}
        camera = take_word(args, "camera")
        snapshot = self.snapshot(camera)
        if snapshot is None:
            raise VedetteError(self._no_snapshot(camera))
        return {**asdict(snapshot), "jpeg": base64.b64encode(snapshot.jpeg).decode()}

    def _no_snapshot(self, camera: str) -> str:
        known = self.cameras()
        there = f"there are snapshots of {', '.join(known)}" if known else "no camera gave a frame yet"
        near = nearest(camera, known)
        return f"there is no snapshot of {camera!r}; {f'did you mean {near!r}?' if near else there}"


def read_answer(answer: Mapping[str, Any]) -> Snapshot:
    """The snapshot in an answer to the command."""
    fields = {field.name: answer[field.name] for field in dataclass_fields(Snapshot)}
    boxes = [DrawnBox(**box) for box in fields["boxes"]]
    return Snapshot(**{**fields, "boxes": boxes, "jpeg": base64.b64decode(fields["jpeg"], validate=True)})


def snapshot_of(result: FrameResult, class_names: Sequence[str], bounds: Bounds = LARGE) -> Snapshot:
    """A frame with its detections, drawn and as values."""
    found = result.detections
    corners = found.boxes.round().astype(int).tolist()
    marked = zip(corners, found.scores.tolist(), found.class_ids.tolist(), strict=True)
    height, width = result.frame.image.shape[:2]
    return Snapshot(
        camera=result.frame.camera,
        captured_at=result.frame.captured_at,
        width=width,
        height=height,
        detections=len(found),
        boxes=[
            DrawnBox(
                name=_name(class_id, class_names),
                score=round(score, 4),
                left=left,
                top=top,
                right=right,
                bottom=bottom,
            )
            for (left, top, right, bottom), score, class_id in list(marked)[:MOST_BOXES]
        ],
        jpeg=drawn(result, class_names, bounds),
    )


def drawn(result: FrameResult, class_names: Sequence[str], bounds: Bounds = LARGE) -> bytes:
    """A frame with its boxes, its camera and its time drawn in, as a JPEG within `bounds`."""
    height, width = result.frame.image.shape[:2]
    scale = min(1.0, bounds.pixels / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image: Any = cv2.resize(result.frame.image, size, interpolation=cv2.INTER_AREA)
    _draw_boxes(image, result.detections, scale, class_names)
    taken = datetime.fromtimestamp(result.frame.captured_at, timezone.utc)
    write_outlined(image, f"{result.frame.camera}  {taken:%Y-%m-%d %H:%M:%S} UTC", (4, size[1] - 6))
    return _encoded(image, bounds.bytes)


def trial_card(device: str) -> bytes:
    """An image for a trial notice, as a JPEG: it shows that images arrive, and nothing of the scene."""
    image = np.full((180, 320, 3), 90, np.uint8)
    cv2.rectangle(image, (110, 50), (210, 130), GREEN, 2)
    write_outlined(image, "a trial 1.00", (110, 46))
    write_outlined(image, f"{device}: no real picture", (4, 174))
    return _encoded(image, LARGE.bytes)


def _draw_boxes(image: Image, detections: Detections, scale: float, names: Sequence[str]) -> None:
    corners = (detections.boxes * scale).round().astype(int).tolist()
    marked = zip(corners, detections.scores.tolist(), detections.class_ids.tolist(), strict=True)
    for (left, top, right, bottom), score, class_id in marked:
        cv2.rectangle(image, (left, top), (right, bottom), GREEN, 2)
        write_outlined(image, f"{_name(class_id, names)} {score:.2f}", (left, max(12, top - 4)))


def _name(class_id: int, names: Sequence[str]) -> str:
    return names[class_id] if 0 <= class_id < len(names) else f"class{class_id}"


def write_outlined(image: Image, text: str, at: tuple[int, int]) -> None:
    """Write white `text` with a black edge at its lower left corner.

    The edge is the text itself a pixel to each side: in OpenCV 5 thicker text is also wider, and lies elsewhere.
    """
    left, bottom = at
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            cv2.putText(image, text, (left + right, bottom + down), FONT, FONT_SIZE, BLACK, 1, cv2.LINE_AA)
    cv2.putText(image, text, at, FONT, FONT_SIZE, WHITE, 1, cv2.LINE_AA)


def _encoded(image: Image, most: int) -> bytes:
    """As the best JPEG of `most` bytes; a picture of noise alone needs a lesser quality, then fewer pixels."""
    for quality in QUALITIES:
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        if len(data) <= most:
            return data
    half = [max(1, side // 2) for side in image.shape[1::-1]]
    return _encoded(cv2.resize(image, half, interpolation=cv2.INTER_AREA), most)
