"""How far two models agree on the last frames, and how long they take. Pure."""

from __future__ import annotations

from collections import defaultdict, deque
from functools import partial

import numpy as np

from agent.detection.matching import BoxMatches

LEAST_BOXES = 20
"""Boxes of both models together under which an agreement is chance."""

LEAST_FRAMES = 20
"""Frames under which a latency is chance."""


class ComparedFrames:
    """What two models found on the last `size` frames that both were run on, and the seconds that they took."""

    def __init__(self, size: int) -> None:
        self._matches: deque[BoxMatches] = deque(maxlen=size)
        self._by_camera: dict[str, deque[BoxMatches]] = defaultdict(partial(deque, maxlen=size))
        self._seconds: deque[tuple[float, float]] = deque(maxlen=size)

    def add(self, camera: str, found: BoxMatches, seconds: tuple[float, float]) -> None:
        """Add a frame; `seconds` are those of the running model and of the second one."""
        self._matches.append(found)
        self._by_camera[camera].append(found)
        self._seconds.append(seconds)

    @property
    def agreement(self) -> float | None:
        """Over the frames; None for too few boxes."""
        return sum(self._matches, BoxMatches()).f1(LEAST_BOXES)

    def of(self, camera: str) -> BoxMatches:
        """What both found on the last `size` frames of a camera."""
        return sum(self._by_camera.get(camera, ()), BoxMatches())

    @property
    def latencies(self) -> tuple[float, float] | None:
        """The medians in seconds; None for too few frames."""
        if len(self._seconds) < LEAST_FRAMES:
            return None
        first, second = np.median(list(self._seconds), axis=0)
        return float(first), float(second)

    def numbers(self, *, new_runs: bool) -> dict[str, float]:
        """What was measured of the new model, which is the one that runs or the second one."""
        numbers = {}
        if (agreement := self.agreement) is not None:
            numbers["agreement_ratio"] = round(agreement, 4)
        if (latencies := self.latencies) is not None:
            new, old = latencies if new_runs else latencies[::-1]
            numbers["latency_ratio"] = round(new / max(old, 1e-9), 3)
        return numbers
