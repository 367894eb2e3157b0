"""Privacy masks: black in every frame before anything else of the agent gets to it.

Drawn into the frame's own memory, which is no one else's (`Camera.read`); where that may not be written to, into a
copy. What fails here fails the camera's connection: a frame that could not be masked goes nowhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import cv2
import numpy as np

from agent.core.errors import CameraError, CameraFailure
from agent.core.polygon import Polygon
from agent.core.raster import covered
from agent.core.types import Frame, Image


@dataclass(frozen=True, slots=True, eq=False)
class _Stencil:
    """One polygon at one frame size: the part of the frame that it is in, and its pixels there (255)."""

    part: tuple[slice, slice]
    pixels: Image
    black: Image


class PrivacyMasks:
    """Blacks `polygons` out in the frames of one camera; one thread's own. Costs nothing where there are none."""

    def __init__(self, polygons: Sequence[Polygon]) -> None:
        self._polygons = polygons
        self._size: tuple[int, int] | None = None
        self._stencils: list[_Stencil] = []

    def apply(self, frame: Frame) -> Frame:
        """The frame with its masks black; its image is read-only again."""
        if not self._polygons:
            return frame
        image = _writeable(frame)
        for stencil in self._stencils_for(image.shape[1], image.shape[0]):
            cv2.copyTo(stencil.black, stencil.pixels, image[stencil.part])
        image.setflags(write=False)
        return frame if image is frame.image else dataclasses.replace(frame, image=image)

    def _stencils_for(self, width: int, height: int) -> list[_Stencil]:
        """The stencils of this frame size; drawn once, and anew at the first frame of another size."""
        if self._size != (width, height):
            self._stencils = [_stencil(polygon, width, height) for polygon in self._polygons]
            self._size = (width, height)
        return self._stencils


def _writeable(frame: Frame) -> Image:
    """The frame's image where it may be written to, else a copy; OpenCV would draw into nothing in any other."""
    image: Image = frame.image
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise CameraError(
            f"frames of camera '{frame.camera}' have the shape {image.shape} of {image.dtype}, "
            "in which no privacy mask can be drawn",
            kind=CameraFailure.OTHER,
        )
    with suppress(ValueError):  # memory of another, such as bytes
        image.setflags(write=True)
    owned = image.flags.writeable and image.flags.c_contiguous
    return frame.image if owned else np.array(image, order="C")


def _stencil(polygon: Polygon, width: int, height: int) -> _Stencil:
    mask = covered((polygon,), width, height)
    left, top, wide, high = cv2.boundingRect(mask)
    part = slice(top, top + high), slice(left, left + wide)
    pixels = np.ascontiguousarray(mask[part])
    return _Stencil(part, pixels, np.zeros((high, wide, 3), dtype=np.uint8))
