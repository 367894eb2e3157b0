"""One frame and its detections in, one feature vector out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.core.scope import WHOLE, Scope
from agent.core.types import Detections
from agent.features import FAMILIES
from agent.features.view import Thumbnail, look


def extract(
    image: NDArray[np.uint8],
    detections: Detections,
    previous: Thumbnail | None = None,
    scope: Scope = WHOLE,
) -> tuple[NDArray[np.float32], Thumbnail]:
    """The features of one frame: float32 (F,) in the order of FEATURES, NaN where undefined, never infinite.

    `image` is (H, W, 3) uint8 BGR and is not written to; `previous` is the thumbnail that the camera's last
    sampled frame gave, None for the first; `scope` says what of the frame counts. The second value is this frame's
    thumbnail. Costs 0.7 ms at 1080p.
    """
    view = look(image, detections, previous, scope)
    numbers = [number for family in FAMILIES for number in family.measure(view)]
    vector = np.array(numbers, dtype=np.float32)
    vector[~np.isfinite(vector)] = np.nan
    return vector, view.thumbnail
