from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from agent.core.types import Detections
from agent.features import FEATURES
from agent.features.extract import extract

Measure = Callable[..., dict[str, float]]


def seen(boxes=(), scores=None, *, candidates=None, embedding=None, threshold=0.25) -> Detections:
    return Detections(
        boxes=np.array(boxes, dtype=np.float32).reshape(-1, 4),
        scores=np.array([0.9] * len(boxes) if scores is None else scores, dtype=np.float32),
        class_ids=np.zeros(len(boxes), np.int64),
        threshold=threshold,
        candidates=len(boxes) if candidates is None else candidates,
        embedding=None if embedding is None else np.asarray(embedding, dtype=np.float32),
    )


@pytest.fixture(scope="session")
def measure() -> Measure:
    """Features by name; `before` is the picture of the last sampled frame."""

    def run(image: np.ndarray, before: np.ndarray | None = None, **what: object) -> dict[str, float]:
        thumbnail = None if before is None else extract(before, seen(), None)[1]
        vector, _ = extract(image, seen(**what), thumbnail)
        return dict(zip(FEATURES, vector.tolist(), strict=True))

    return run


@pytest.fixture(scope="session")
def street() -> np.ndarray:
    """A 1080p picture with edges of all sizes and a little noise."""
    import cv2

    rng = np.random.default_rng(3)
    image = np.full((1080, 1920, 3), (120, 110, 100), np.uint8)
    for _ in range(900):
        x, y = (int(rng.integers(0, limit)) for limit in (1920, 1080))
        w, h = (int(side) for side in rng.integers(8, 160, 2))
        cv2.rectangle(image, (x, y), (x + w, y + h), tuple(int(c) for c in rng.integers(20, 235, 3)), -1)
    return np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)
