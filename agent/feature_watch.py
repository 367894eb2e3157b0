"""The feature watch: samples a camera's frames, measures their features, and sketches them per window."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.config.schema import DriftSettings
from agent.detection import ModelInfo
from agent.features import FEATURE_VERSION, FEATURES
from agent.features.extract import extract
from agent.features.view import Thumbnail
from agent.reporting import Reporter
from agent.sketch import Sketch
from agent.summary import CameraSummary
from agent.types import FrameResult, Observation

SENT_ITEMS = 40  # values a sketch keeps on the wire: 26 features stay under 6 kB


class FeatureWatch:
    """One camera's features in the open window; belongs to the analyst's thread."""

    def __init__(self, camera: str, settings: DriftSettings, model: ModelInfo, reporter: Reporter) -> None:
        self._camera, self._settings = camera, settings
        self._model, self._reporter = model, reporter
        self._vectors: list[NDArray[np.float32]] = []
        self._previous: Thumbnail | None = None
        self._next_ns = 0
        self._kept_out = 0

    def see(self, result: FrameResult) -> None:
        """Measure the frame if one is due; frames of a faulty picture are kept out."""
        frame = result.frame
        if frame.monotonic_ns < self._next_ns:
            return
        period_ns = 1e9 / self._settings.feature_fps
        self._next_ns = math.floor(max(self._next_ns + period_ns, frame.monotonic_ns + period_ns / 2))
        if not frame.usable:
            self._kept_out += 1
            self._previous = None
            return
        vector, self._previous = extract(frame.image, result.detections, self._previous)
        self._vectors.append(vector)

    def close(self, summary: CameraSummary, _now: float) -> tuple[dict[str, object], list[Observation]]:
        """Publish the window's sketches; the features' means go into the summary."""
        vectors, self._vectors = self._vectors, []
        kept_out, self._kept_out = self._kept_out, 0
        fields: dict[str, object] = {"feature_samples": len(vectors), "feature_samples_kept_out": kept_out}
        if not vectors:
            return fields, []
        table = np.stack(vectors)
        for name, column in zip(FEATURES, table.T, strict=True):
            known = column[np.isfinite(column)]
            if known.size:
                fields[f"feature_{name}_mean"] = float(f"{known.mean():.4g}")
        if self._settings.publish_sketches:
            self._publish(summary, table)
        return fields, []

    def _publish(self, summary: CameraSummary, table: NDArray[np.float32]) -> None:
        blobs: dict[str, bytes] = {}
        for name, column in zip(FEATURES, table.T, strict=True):
            sketch = Sketch()
            sketch.update(column)
            if sketch.count:
                blobs[name] = sketch.compact(SENT_ITEMS).to_bytes()
        about: dict[str, Any] = {
            "feature_version": FEATURE_VERSION,
            "model_sha256": self._model.sha256,
            "feature_samples": len(table),
        }
        self._reporter.sketches(self._camera, blobs, about, summary.start, summary.end)


class NoWatch:
    """Where drift is switched off: nothing is measured."""

    def see(self, _result: FrameResult) -> None:
        """Pass the frame over."""

    def close(self, _summary: CameraSummary, _now: float) -> tuple[dict[str, object], list[Observation]]:
        """Nothing to tell."""
        return {}, []


def watch_maker(
    settings: DriftSettings, model: Callable[[], ModelInfo], reporter: Reporter
) -> Callable[[str], FeatureWatch | NoWatch]:
    """A maker of watches by camera name."""
    if not settings.enabled:
        return lambda _camera: NoWatch()
    return lambda camera: FeatureWatch(camera, settings, model(), reporter)
