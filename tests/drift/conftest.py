"""A small simulated camera, and a reference of a day and a bit of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from scipy.signal import lfilter

from agent.drift.recording import Recording
from agent.drift.reference import Reference, build
from agent.drift.sketch import Window, WindowSketch

NAMES = ("brightness", "sharpness", "boxes", "confidence", "constant")
FRAMES = 30
MIDNIGHT = 1_799_625_600.0
"""A Monday, 2027-01-11."""


class Camera:
    """One frame every two seconds; brightness plain, sharpness heavy-tailed, boxes a count, confidence a share that
    is undefined where there are no boxes, and one feature that never changes."""

    def __init__(self, seed: int = 1, start: float = MIDNIGHT) -> None:
        self.now = start
        self._random = np.random.default_rng(seed)
        self._last = np.zeros(4)

    def rows(self, frames: int, *, shift: float = 0.0, spread: float = 1.0, feature: int = 0) -> np.ndarray:
        """Features of the next frames, (n, 5) float32; `feature` shifted by sigmas and stretched."""
        keep = 0.9
        news = self._random.standard_normal((frames, 4)) * np.sqrt(1 - keep**2)
        latent, _ = lfilter([1.0], [1.0, -keep], news, axis=0, zi=(keep * self._last)[None])
        self._last = latent[-1].copy()
        latent[:, feature] = spread * latent[:, feature] + shift
        boxes = np.clip(np.rint(2.0 + 1.2 * latent[:, 2]), 0, None)
        confidence = np.where(boxes > 0, 1 / (1 + np.exp(-latent[:, 3])), np.nan)
        columns = [100 + 10 * latent[:, 0], np.exp(4 + 0.8 * latent[:, 1]), boxes, confidence]
        return np.column_stack([*columns, np.full(frames, 7.0)]).astype(np.float32)

    def windows(
        self, count: int, *, classes: tuple[int, ...] = (0, 0, 2), **change: float
    ) -> Iterator[WindowSketch]:
        """The next windows of a minute."""
        collector = Window("front", NAMES, "1", interval=2.0)
        for _ in range(count):
            rows = self.rows(FRAMES, **change)
            seen = [classes[i % len(classes)] for i in range(int(rows[:, 2].sum()))]
            collector.extend(rows, seen, at=self.now + 2.0 * np.arange(FRAMES))
            yield collector.close(self.now, self.now + 60.0)
            self.now += 60.0


def recorded(camera: Camera, windows: int) -> Recording:
    recording = Recording(NAMES)
    for window in camera.windows(windows):
        recording.add(window)
    return recording


def reference_of(recording: Recording, now: float) -> Reference:
    return build(recording, camera="front", model_sha256="ab" * 32, feature_version="1", now=now)


@pytest.fixture
def camera() -> type[Camera]:
    return Camera


@pytest.fixture(scope="session")
def day_recording() -> Recording:
    return recorded(Camera(1), 26 * 60)


@pytest.fixture(scope="session")
def day_reference(day_recording: Recording) -> Reference:
    return reference_of(day_recording, MIDNIGHT + 26 * 3600.0)


@pytest.fixture(scope="session")
def short_reference() -> Reference:
    """Two hours only."""
    return reference_of(recorded(Camera(2), 120), MIDNIGHT + 7200.0)


@pytest.fixture
def tomorrow() -> Camera:
    """The same camera after the day's recording ended."""
    return Camera(77, MIDNIGHT + 26 * 3600.0)
