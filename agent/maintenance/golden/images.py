"""The golden images: the trial image and views of it. They ship with the agent, so that nothing of a site is kept."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from agent.detection.trial import trial_image


@lru_cache(maxsize=1)
def golden_images() -> tuple[NDArray[np.uint8], ...]:
    """Four images, (360, 640, 3) uint8 BGR: two parts of the trial image and their mirror images.

    Of the shape that most cameras deliver: a model of a free size needs no memory for another one.
    """
    whole = trial_image()
    parts = whole[:360], whole[-360:]
    return tuple(np.ascontiguousarray(image) for part in parts for image in (part, part[:, ::-1]))
