"""Outliers: single frames that are far from everything the reference knows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_FEATURES = 3
"""Features that must be out of range together. One of 26 leaves its 99.8 % range in 5 % of normal frames,
three together, were they independent, in 2 of 100,000; related ones do so more often, hence not two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameVerdict:
    """Whether one frame is an outlier, and why: `far` by its embedding, or the features at `beyond`."""

    outlier: bool
    far: bool
    beyond: tuple[int, ...]


def judge_frame(
    vector: NDArray[np.float32],
    low: NDArray[np.float32],
    high: NDArray[np.float32],
    *,
    distance: float = float("nan"),
    limit: float = float("nan"),
    least: int = LEAST_FEATURES,
) -> FrameVerdict:
    """Judge one feature vector (F,) against the reference's 0.1 % and 99.9 % quantiles `low` and `high` (F,).

    `distance` is that of the embedding, `limit` what it may be. NaN anywhere (a feature that is undefined for
    this frame, one the reference never saw, no embedding) counts as nothing known, never as an outlier.
    """
    with np.errstate(invalid="ignore"):
        outside = (vector < low) | (vector > high)
    beyond = tuple(np.flatnonzero(outside).tolist())
    far = distance > limit
    return FrameVerdict(outlier=far or len(beyond) >= least, far=far, beyond=beyond)
