"""The clocks of the cameras' room, and the stamping of frames."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from agent.core.types import Frame


def wall() -> float:
    """Unix time, for time stamps only."""
    return time.time()  # noqa: TID251  (cameras are edges)


def monotonic() -> float:
    """Seconds of the monotonic clock, for every wait and every timeout."""
    return time.monotonic()  # noqa: TID251


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
        captured_at=wall(),
        monotonic_ns=time.monotonic_ns(),
        decode_seconds=decode_seconds,
        media_seconds=media_seconds,
    )
