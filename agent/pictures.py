"""The last picture of each camera with its boxes, drawn only when somebody is to see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.types import Detections, FrameResult

WIDEST = 960
GREEN, WHITE, BLACK = (60, 220, 60), (255, 255, 255), (0, 0, 0)
_FONT, _SIZE = cv2.FONT_HERSHEY_SIMPLEX, 0.45

Image = NDArray[np.uint8]


class LastPictures:
    """Keeps the newest result of each camera; replacing a reference is atomic, so there is no lock.

    `class_names` gives the names by class id.
    """

    def __init__(self, class_names: Callable[[], Sequence[str]] = tuple) -> None:
        self._class_names = class_names
        self._results: dict[str, FrameResult] = {}

    def keep(self, result: FrameResult) -> None:
        """Remember the newest result of its camera."""
        self._results[result.frame.camera] = result

    def forget(self, camera: str) -> None:
        """A camera that was removed leaves no picture behind."""
        self._results.pop(camera, None)

    def jpeg(self, camera: str) -> bytes | None:
        """What `camera` saw last, boxes and time drawn in, as a JPEG of at most WIDEST pixels; None if nothing."""
        result = self._results.get(camera)
        if result is None:
            return None
        height, width = result.frame.image.shape[:2]
        scale = min(1.0, WIDEST / width)
        size = (round(width * scale), max(1, round(height * scale)))
        image: Any = cv2.resize(result.frame.image, size, interpolation=cv2.INTER_AREA)
        _draw_boxes(image, result.detections, scale, self._class_names())
        taken = datetime.fromtimestamp(result.frame.captured_at, timezone.utc)
        _write(image, f"{camera}  {taken:%Y-%m-%d %H:%M:%S} UTC", (4, size[1] - 6))
        return _encoded(image)


def trial_card(device: str) -> bytes:
    """A picture for a trial notice, as a JPEG: it shows that pictures get through, and nothing of the scene."""
    image = np.full((180, 320, 3), 90, np.uint8)
    cv2.rectangle(image, (110, 50), (210, 130), GREEN, 2)
    _write(image, "a trial 1.00", (110, 46))
    _write(image, f"{device}: no real picture", (4, 174))
    data = _encoded(image)
    assert data is not None
    return data


def _draw_boxes(image: Image, detections: Detections, scale: float, names: Sequence[str]) -> None:
    corners = (detections.boxes * scale).round().astype(int).tolist()
    marked = zip(corners, detections.scores.tolist(), detections.class_ids.tolist(), strict=True)
    for (left, top, right, bottom), score, class_id in marked:
        cv2.rectangle(image, (left, top), (right, bottom), GREEN, 2)
        name = names[class_id] if 0 <= class_id < len(names) else f"class{class_id}"
        _write(image, f"{name} {score:.2f}", (left, max(12, top - 4)))


def _write(image: Image, text: str, at: tuple[int, int]) -> None:
    cv2.putText(image, text, at, _FONT, _SIZE, BLACK, 3, cv2.LINE_AA)
    cv2.putText(image, text, at, _FONT, _SIZE, WHITE, 1, cv2.LINE_AA)


def _encoded(image: Image) -> bytes | None:
    good, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 80])
    return data.tobytes() if good else None
