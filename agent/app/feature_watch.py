"""The feature watch: samples a camera's frames, measures their features, sketches them per window, has them judged."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from agent.config.schema import DriftSettings
from agent.core import clock
from agent.core.types import Draft, FrameResult, Observation
from agent.delivery.messages import sketch_draft
from agent.drift.sketch import Window, WindowSketch
from agent.features import FEATURE_VERSION, FEATURES, SPECS
from agent.features.extract import extract
from agent.features.view import Thumbnail
from agent.pipeline.camera_window import CameraSummary
from agent.references.keeper import Keeper

SENT_ITEMS = 24
"""Values a sketch keeps on the wire: 26 features stay under 6 kB, ranks of a merged hour within 2 %."""

CLOCK_STEP_SECONDS = 5.0
"""A window that lasted so much longer by the wall clock than by the monotonic one saw the clock being set."""

_TOLD = tuple(spec.unit != "" for spec in SPECS)  # the mean of a random projection tells a dashboard nothing


class FeatureWatch:
    """One camera's features in the open window; belongs to the analyst's thread."""

    def __init__(
        self, camera: str, settings: DriftSettings, keeper: Keeper, publish: Callable[[Draft], None]
    ) -> None:
        self._camera, self._settings = camera, settings
        self._keeper, self._publish = keeper, publish
        self._window = Window(camera, FEATURES, FEATURE_VERSION, interval=1.0 / settings.feature_fps)
        self._vectors: list[NDArray[np.float32]] = []
        self._embeddings: list[NDArray[np.float32]] = []
        self._previous: Thumbnail | None = None
        self._next_ns = 0
        self._kept_out = 0
        self._closed_at = clock.monotonic()

    def see(self, result: FrameResult) -> None:
        """Measure the frame if one is due; frames of a faulty picture, and repeated ones, are kept out."""
        frame, detections = result.frame, result.detections
        if frame.monotonic_ns < self._next_ns:
            return
        period_ns = 1e9 / self._settings.feature_fps
        self._next_ns = math.floor(max(self._next_ns + period_ns, frame.monotonic_ns + period_ns / 2))
        if not frame.usable:
            self._kept_out += 1
            self._previous = None
            return
        before = self._previous
        vector, self._previous = extract(frame.image, detections, before)
        if before is not None and np.array_equal(before.grey, self._previous.grey):
            self._kept_out += (
                1  # the same picture again says nothing new; a frozen camera is known as such later
            )
            return
        self._window.add(vector, detections.class_ids, at=frame.monotonic_ns / 1e9)
        self._vectors.append(vector)
        if detections.embedding is not None:
            self._embeddings.append(detections.embedding)
        self._keeper.see(vector, detections.embedding)

    def close(self, summary: CameraSummary, now: float) -> tuple[dict[str, object], list[Observation]]:
        """Publish the window's sketches, have it judged; the features' means and the verdict go into the summary."""
        embeddings = self._embeddings
        window, table, fields = self._end(summary)
        if len(table) and self._settings.publish_sketches:
            self._publish_sketches(window)
        verdict, observations = self._keeper.window(
            window, table, embeddings, now, clock_step=self._clock_step(summary)
        )
        return {**fields, **verdict}, observations

    def pass_over(self, summary: CameraSummary) -> dict[str, object]:
        """The features' means of a window that belongs neither to a reference nor before the judge."""
        _, _, fields = self._end(summary)
        self._clock_step(summary)
        return fields

    def _end(self, summary: CameraSummary) -> tuple[WindowSketch, NDArray[np.float32], dict[str, object]]:
        """The open window as sketches, as its vectors (n, F) and as fields of the summary; a new one is open."""
        window = self._window.close(summary.start, summary.end)
        table = np.array(self._vectors, dtype=np.float32).reshape(-1, len(FEATURES))
        fields: dict[str, object] = {
            "feature_samples": len(table),
            "feature_samples_kept_out": self._kept_out,
            **(_means(table) if len(table) else {}),
        }
        self._vectors, self._embeddings, self._kept_out = [], [], 0
        return window, table, fields

    def leave(self, now: float) -> None:
        """The camera is gone, or the agent stops."""
        self._keeper.save(now)

    def _clock_step(self, summary: CameraSummary) -> float:
        """By how many seconds the wall clock was set in the window; 0 if it was not."""
        monotonic = clock.monotonic()
        step = (summary.end - summary.start) - (monotonic - self._closed_at)
        self._closed_at = monotonic
        return step if abs(step) > CLOCK_STEP_SECONDS else 0.0

    def _publish_sketches(self, window: WindowSketch) -> None:
        about = {**window.to_body(SENT_ITEMS), "model_sha256": self._keeper.subject.model_sha256}
        self._publish(sketch_draft(self._camera, {}, about, start=window.start, end=window.end))


def _means(table: NDArray[np.float32]) -> dict[str, object]:
    means: dict[str, object] = {}
    for name, told, column in zip(FEATURES, _TOLD, table.T, strict=True):
        known = column[np.isfinite(column)]
        if told and known.size:
            means[f"feature_{name}_mean"] = float(f"{known.mean():.3g}")
    return means


class NoWatch:
    """Where drift is switched off: nothing is measured."""

    def see(self, _result: FrameResult) -> None:
        """Pass the frame over."""

    def close(self, _summary: CameraSummary, _now: float) -> tuple[dict[str, object], list[Observation]]:
        """Nothing to tell."""
        return {}, []

    def pass_over(self, _summary: CameraSummary) -> dict[str, object]:
        """Nothing to tell."""
        return {}

    def leave(self, _now: float) -> None:
        """Nothing to keep."""


def watch_maker(
    settings: DriftSettings, keeper: Callable[[str], Keeper], publish: Callable[[Draft], None]
) -> Callable[[str], FeatureWatch | NoWatch]:
    """A maker of watches by camera name; `keeper` gives a camera's."""
    if not settings.enabled:
        return lambda _camera: NoWatch()
    return lambda camera: FeatureWatch(camera, settings, keeper(camera), publish)
