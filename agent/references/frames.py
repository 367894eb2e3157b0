"""Single frames against a reference: which of them are far from everything it knows."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from agent.features.outliers import judge_frame
from agent.references.stored import StoredReference

_WIDER = 0.5  # of its range: by so much a provisional reference's limits are moved out, it has not seen a day
_FARTHER = 1.5


class FrameJudge:
    """Counts the outliers of the open window; one camera's, one thread's own."""

    def __init__(self, stored: StoredReference) -> None:
        self._embedding = stored.embedding
        self._names = stored.reference.origin.features
        slack = (
            _WIDER * (stored.high - stored.low) if stored.reference.provisional else np.zeros_like(stored.low)
        )
        self._low, self._high = stored.low - slack, stored.high + slack
        self._limit = stored.embedding.limit() * (_FARTHER if stored.reference.provisional else 1.0)
        self._seen = self._outliers = 0
        self._reasons: Counter[str] = Counter()

    def see(self, vector: NDArray[np.float32], embedding: NDArray[np.float32] | None) -> None:
        """Judge one frame: its features (F,) and its embedding, where the model has one."""
        distance = self._embedding.distance(embedding) if embedding is not None else float("nan")
        verdict = judge_frame(vector, self._low, self._high, distance=distance, limit=self._limit)
        self._seen += 1
        if verdict.outlier:
            self._outliers += 1
            self._reasons.update(self._names[number] for number in verdict.beyond)
            self._reasons.update(["embedding"] if verdict.far else [])

    def take(self) -> tuple[int, int, list[str]]:
        """Frames judged, outliers among them, and by what, the commonest first; then counts anew."""
        taken = self._seen, self._outliers, [name for name, _ in self._reasons.most_common(5)]
        self._seen = self._outliers = 0
        self._reasons.clear()
        return taken
