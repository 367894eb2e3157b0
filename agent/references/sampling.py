"""Samples a camera's frames at a steady rate and gathers their features per window. Pure: frames carry their time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.core.types import FrameResult
from agent.drift.sketch import Window, WindowSketch
from agent.features import FEATURE_VERSION, FEATURES, SPECS
from agent.features.extract import extract
from agent.features.view import Thumbnail

_IN_SUMMARY = tuple(
    spec.unit != "" for spec in SPECS
)  # the mean of a random projection means nothing on a dashboard

MOST_DIGITS = 4
"""Digits of a mean without scatter (a still camera)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SampledFrame:
    """One frame's features `vector` (F,), and its `embedding` (d,) where the model gives one."""

    vector: NDArray[np.float32]
    embedding: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SampledWindow:
    """A closed window as sketches and as its frames; `kept_out` frames were due, but faulty or repeated."""

    sketch: WindowSketch
    frames: Sequence[SampledFrame]
    kept_out: int = 0

    @property
    def vectors(self) -> NDArray[np.float32]:
        """The frames' features, (n, F)."""
        return np.array([frame.vector for frame in self.frames], dtype=np.float32).reshape(-1, len(FEATURES))

    @property
    def embeddings(self) -> list[NDArray[np.float32]]:
        """The frames' embeddings, where there are any."""
        return [frame.embedding for frame in self.frames if frame.embedding is not None]

    def fields(self) -> dict[str, object]:
        """The fields of the camera's summary: how many frames were sampled, and their features' means."""
        fields: dict[str, object] = {
            "feature_samples": len(self.frames),
            "feature_samples_kept_out": self.kept_out,
        }
        for name, included, column in zip(FEATURES, _IN_SUMMARY, self.vectors.T, strict=True):
            known = column[np.isfinite(column)]
            if included and known.size:
                fields[f"feature_{name}_mean"] = mean_of(known)
        return fields


def mean_of(values: NDArray[np.float32]) -> float:
    """The mean of `values`, with the digits that it carries: its last is that of its standard error.

    >>> mean_of(np.array([131.2, 135.9, 133.1, 134.2], dtype=np.float32))
    134.0
    """
    mean, spread = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
    error = spread / math.sqrt(values.size)
    if error <= abs(mean) * 10.0**-MOST_DIGITS:
        return float(f"{mean:.{MOST_DIGITS}g}")
    return round(mean, -math.floor(math.log10(error)))


class FrameSampler:
    """Gathers the open window of one camera; `rate` is in frames a second of the camera's own time."""

    def __init__(self, camera: str, rate: float) -> None:
        self._period_ns = 1e9 / rate
        self._window = Window(camera, FEATURES, FEATURE_VERSION, interval=1.0 / rate)
        self._frames: list[SampledFrame] = []
        self._previous: Thumbnail | None = None
        self._next_ns = 0
        self._kept_out = 0

    def add(self, result: FrameResult) -> None:
        """Measure the frame if one is due; frames with a fault, and repeated ones, are kept out."""
        frame, detections = result.frame, result.detections
        if frame.monotonic_ns < self._next_ns:
            return
        steady, late = self._next_ns + self._period_ns, frame.monotonic_ns + self._period_ns / 2
        self._next_ns = math.floor(max(steady, late))
        if not frame.usable:
            self._kept_out += 1
            self._previous = None
            return
        before = self._previous
        vector, self._previous = extract(frame.image, detections, before, frame.scope)
        if before is not None and np.array_equal(before.grey, self._previous.grey):
            self._kept_out += (
                1  # a repeated frame is no evidence; a frozen camera is recognised later than this
            )
            return
        self._window.add(vector, detections.class_ids, at=frame.monotonic_ns / 1e9)
        self._frames.append(SampledFrame(vector=vector, embedding=detections.embedding))

    def close(self, start: float, end: float) -> SampledWindow:
        """The open window, which lasted from `start` to `end` (Unix time); the next one is open."""
        closed = SampledWindow(
            sketch=self._window.close(start, end), frames=self._frames, kept_out=self._kept_out
        )
        self._frames, self._kept_out = [], 0
        return closed
