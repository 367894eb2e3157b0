"""Makes a frame of an image that a camera delivered: its time stamps and its number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.core import clock
from agent.core.types import Frame

NO_IMAGE: NDArray[np.uint8] = np.empty((0, 0, 3), np.uint8)
"""The image of a frame that nobody wants."""


def stamped(
    camera: str,
    index: int,
    image: NDArray[np.uint8],
    *,
    decode_seconds: float = 0.0,
    media_seconds: float | None = None,
) -> Frame:
    """`image` (H, W, 3) uint8 BGR as a frame of this moment; the image is set read-only."""
    image.setflags(write=False)
    return Frame(
        camera=camera,
        index=index,
        image=image,
        captured_at=clock.unix_now(),
        monotonic_ns=clock.monotonic_ns(),
        decode_seconds=decode_seconds,
        media_seconds=media_seconds,
    )
