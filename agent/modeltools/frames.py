"""Frames of a camera, a video or a folder, spread evenly over it, no larger than the model sees them. Never written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import cv2
import numpy as np

from agent.cameras import Camera
from agent.core import clock
from agent.core.types import Image
from agent.detection.preprocess import plan

LIVE_SECONDS = 1.0
"""Between two frames of a live camera."""

MOST_READ = 20_000
"""Frames of a video that are looked at: 13 minutes of 25 frames/s."""

Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]


def sample_frames(camera: Camera, most: int, size: tuple[int, int], progress: Progress) -> list[Image]:
    """Up to `most` frames (H, W, 3) BGR, shrunk to fit into (height, width). Raises CameraError."""
    camera.open()
    try:
        if getattr(camera, "finite", False):
            return _spread(camera, most, size)
        return [_next(camera, size) for _ in progress(range(most), most, "frames")]
    finally:
        camera.close()


def _spread(camera: Camera, most: int, size: tuple[int, int]) -> list[Image]:
    """Frames evenly over a source whose length is not known: each `step`-th, which doubles when there are too many."""
    kept: list[Image] = []
    step = 1
    for index in range(MOST_READ):
        frame = camera.read()
        if frame is None:
            break
        if index % step == 0:
            kept.append(_shrunk(frame.image, size))
        if len(kept) >= 2 * most:
            kept, step = kept[::2], 2 * step
    places = np.linspace(0, len(kept) - 1, min(most, len(kept))).round().astype(int)
    return [kept[place] for place in places]


def _next(camera: Camera, size: tuple[int, int]) -> Image:
    """The first frame after LIVE_SECONDS; those before are let pass."""
    until = clock.monotonic() + LIVE_SECONDS
    while True:
        frame = camera.read()
        if frame is not None and clock.monotonic() >= until:
            return _shrunk(frame.image, size)


def _shrunk(image: Image, size: tuple[int, int]) -> Image:
    box = plan((image.shape[0], image.shape[1]), size, stride=1, minimal=True)
    if box.content[0] >= image.shape[0]:
        return image
    return np.asarray(cv2.resize(image, box.content[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
