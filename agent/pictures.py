"""The last picture of each camera with its boxes, drawn only when somebody is to see it."""

from __future__ import annotations

import cv2
import numpy as np

from agent.types import FrameResult

WIDEST = 960


class LastPictures:
    """Keeps the newest result of each camera; replacing a reference is atomic, so there is no lock."""

    def __init__(self) -> None:
        self._results: dict[str, FrameResult] = {}

    def keep(self, result: FrameResult) -> None:
        """Remember the newest result of its camera."""
        self._results[result.frame.camera] = result

    def forget(self, camera: str) -> None:
        """A camera that was removed leaves no picture behind."""
        self._results.pop(camera, None)

    def jpeg(self, camera: str) -> bytes | None:
        """What `camera` saw last, boxes drawn in, as a JPEG of at most WIDEST pixels; None if it saw nothing."""
        result = self._results.get(camera)
        if result is None:
            return None
        image = np.array(result.frame.image)
        for left, top, right, bottom in result.detections.boxes.round().astype(int).tolist():
            cv2.rectangle(image, (left, top), (right, bottom), (60, 220, 60), 2)
        height, width = image.shape[:2]
        if width > WIDEST:
            image = cv2.resize(
                image, (WIDEST, max(1, height * WIDEST // width)), interpolation=cv2.INTER_AREA
            )
        good, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 80])
        return data.tobytes() if good else None
