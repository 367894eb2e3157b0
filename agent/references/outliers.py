"""Single frames against a reference: which of them are far from everything it knows. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from agent.drift.verdict import OutlierCount
from agent.features.outliers import judge_frame
from agent.references.sampling import SampledFrame
from agent.references.stored import StoredReference

_WIDER = 0.5  # of its range: by so much a provisional reference's limits are moved out, it has not seen a day
_FARTHER = 1.5
_REASONS = 5


class OutlierLimits:
    """The limits of single frames by one reference."""

    def __init__(self, stored: StoredReference) -> None:
        provisional = stored.reference.provisional
        self._embedding = stored.embedding
        self._names = stored.reference.origin.features
        slack = _WIDER * (stored.high - stored.low) if provisional else np.zeros_like(stored.low)
        self._low: NDArray[np.float32] = stored.low - slack
        self._high: NDArray[np.float32] = stored.high + slack
        self._limit = stored.embedding.limit() * (_FARTHER if provisional else 1.0)

    def count(self, frames: Iterable[SampledFrame]) -> OutlierCount:
        """Judge frames one by one."""
        judged = outliers = 0
        reasons: Counter[str] = Counter()
        for frame in frames:
            distance = float("nan") if frame.embedding is None else self._embedding.distance(frame.embedding)
            verdict = judge_frame(frame.vector, self._low, self._high, distance=distance, limit=self._limit)
            judged += 1
            if verdict.outlier:
                outliers += 1
                reasons.update(self._names[number] for number in verdict.beyond)
                reasons.update(["embedding"] if verdict.far else [])
        common = tuple(name for name, _ in reasons.most_common(_REASONS))
        return OutlierCount(frames=judged, outliers=outliers, reasons=common)
