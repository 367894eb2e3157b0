"""Windows: what one camera's features did over a minute, small and mergeable.

A window keeps one KLL sketch per feature, the mean size of a feature's steps from one sampled frame to the next
(a sketch forgets order, and a change of noise shows in the steps first), and how often each class was seen.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.sketch import Sketch

WIRE_ITEMS = 32  # values kept per feature on the wire: 20 features stay below 6 kB, ranks within 3 %
_FIRST_ROWS = 256
_KLL, _STEP = "_kll", "_step_mean"
_CLASS = re.compile(r"class_(\d+)_count")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WindowSketch:
    """One window of one camera.

    `features` names the columns; `sketches` holds one sketch each; `steps` (F,) float32 the mean absolute
    difference between successive samples, in the feature's unit, NaN where there were none; `pairs` (F,) int32
    how many differences that is the mean of. `classes` counts boxes by class id. `frames` is the number of
    sampled frames used. `start`, `end` are Unix times.
    """

    camera: str
    start: float
    end: float
    features: tuple[str, ...]
    feature_version: str
    frames: int
    sketches: tuple[Sketch, ...]
    steps: NDArray[np.float32]
    pairs: NDArray[np.int32]
    classes: Mapping[int, int]

    @property
    def seconds(self) -> float:
        """How long the window lasted."""
        return self.end - self.start

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many values of each feature were defined, (F,) int64."""
        return np.array([sketch.count for sketch in self.sketches], dtype=np.int64)

    def to_body(self, items: int = WIRE_ITEMS) -> dict[str, Any]:
        """The window as one flat JSON object; each sketch keeps about `items` values, in DataSketches' format.

        The names say how the outbox merges them: `<feature>_kll` as sketches, `frames_sampled` and
        `class_<id>_count` by adding, `<feature>_step_mean` as a mean.
        """
        body: dict[str, Any] = {
            "camera": self.camera,
            "start": round(self.start, 3),
            "end": round(self.end, 3),
            "feature_version": self.feature_version,
            "frames_sampled": self.frames,
        }
        for name, sketch, step in zip(self.features, self.sketches, self.steps, strict=True):
            body[f"{name}{_KLL}"] = base64.b64encode(sketch.compact(items).to_bytes()).decode()
            if np.isfinite(step):
                body[f"{name}{_STEP}"] = float(f"{step:.4g}")
        return body | {f"class_{number}_count": count for number, count in sorted(self.classes.items())}

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> WindowSketch:
        """The window that `to_body` described, also once stamped and merged; ValueError where it is none.

        `pairs` is not sent: it is taken to be one less than the frames.
        """
        try:
            window = cls._read(body)
        except (KeyError, TypeError, AttributeError, OverflowError, binascii.Error) as error:
            raise ValueError(f"not a window of sketches: {error!r}") from error
        if not window.features:
            raise ValueError("not a window of sketches: there is no sketch in it")
        return window

    @classmethod
    def _read(cls, body: Mapping[str, Any]) -> WindowSketch:
        features = tuple(name[: -len(_KLL)] for name in body if name.endswith(_KLL))
        steps = np.array([body.get(f"{name}{_STEP}", np.nan) for name in features], dtype=np.float32)
        frames = int(body["frames_sampled"])
        return cls(
            camera=str(body["camera"]),
            start=_moment(body["start"]),
            end=_moment(body["end"]),
            features=features,
            feature_version=str(body["feature_version"]),
            frames=frames,
            sketches=tuple(
                Sketch.from_bytes(base64.b64decode(body[f"{name}{_KLL}"], validate=True)) for name in features
            ),
            steps=_fixed(steps),
            pairs=_fixed(np.where(np.isfinite(steps), max(frames - 1, 0), 0).astype(np.int32)),
            classes={
                int(found[1]): int(count) for name, count in body.items() if (found := _CLASS.fullmatch(name))
            },
        )


class Window:
    """Collects the sampled feature vectors of one camera until it is closed.

    `interval` is the time between samples, in seconds. Two samples further apart than one and a half of it are
    no pair for `steps`: what was left out between them (a frozen camera, a stall) must not look like noise.
    """

    def __init__(
        self, camera: str, features: tuple[str, ...], feature_version: str, interval: float = 0.5
    ) -> None:
        self.camera, self.features, self.feature_version = camera, features, feature_version
        self.interval = interval
        self._rows = np.empty((_FIRST_ROWS, len(features)), dtype=np.float32)
        self._times = np.empty(_FIRST_ROWS, dtype=np.float64)
        self._used = 0
        self._classes: Counter[int] = Counter()

    def __len__(self) -> int:
        return self._used

    def add(self, vector: NDArray[np.float32], class_ids: Iterable[int] = (), *, at: float) -> None:
        """Add one frame: its features (F,) float32, NaN where undefined, its boxes' classes, its time."""
        self.extend(vector[None, :], class_ids, at=np.array([at]))

    def extend(
        self, vectors: NDArray[np.float32], class_ids: Iterable[int] = (), *, at: NDArray[np.float64]
    ) -> None:
        """Add many frames at once: features (n, F) float32 and their times (n,) in seconds, ascending."""
        end = self._used + len(vectors)
        if end > len(self._rows):
            spare = max(end, 2 * len(self._rows)) - len(self._rows)
            self._rows = np.pad(self._rows, ((0, spare), (0, 0)))
            self._times = np.pad(self._times, (0, spare))
        self._rows[self._used : end] = vectors
        self._times[self._used : end] = at
        self._used = end
        self._classes.update(np.asarray(class_ids, dtype=np.int64).tolist())

    def close(self, start: float, end: float) -> WindowSketch:
        """The window from `start` to `end` (Unix times) as a value; the accumulator is empty afterwards."""
        rows = self._rows[: self._used]
        steps, pairs = self._steps(rows)
        window = WindowSketch(
            camera=self.camera,
            start=start,
            end=end,
            features=self.features,
            feature_version=self.feature_version,
            frames=self._used,
            sketches=tuple(_sketch(column) for column in rows.T),
            steps=_fixed(steps),
            pairs=_fixed(pairs),
            classes=dict(self._classes),
        )
        self._used = 0
        self._classes.clear()
        return window

    def _steps(self, rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        near = np.diff(self._times[: self._used]) <= 1.5 * self.interval
        with np.errstate(invalid="ignore", over="ignore"):
            sizes = np.abs(np.diff(rows, axis=0))[near]
        known = np.isfinite(sizes)
        pairs = known.sum(axis=0).astype(np.int32)
        total = np.where(known, sizes, 0).sum(axis=0, dtype=np.float64)
        steps = np.where(pairs > 0, total / np.maximum(pairs, 1), np.nan)
        return steps.astype(np.float32), pairs


def merge(first: WindowSketch, second: WindowSketch) -> WindowSketch:
    """One window that has seen what both have; of one camera or of several.

    ValueError where their features differ. Means of steps are weighted by their pairs; nothing is averaged
    that cannot be.
    """
    if (first.features, first.feature_version) != (second.features, second.feature_version):
        raise ValueError("windows of different features cannot be merged")
    pairs = first.pairs + second.pairs
    total = _weighted(first.steps, first.pairs) + _weighted(second.steps, second.pairs)
    return WindowSketch(
        camera=first.camera if first.camera == second.camera else "several",
        start=min(first.start, second.start),
        end=max(first.end, second.end),
        features=first.features,
        feature_version=first.feature_version,
        frames=first.frames + second.frames,
        sketches=tuple(_both(a, b) for a, b in zip(first.sketches, second.sketches, strict=True)),
        steps=_fixed(np.where(pairs > 0, total / np.maximum(pairs, 1), np.nan).astype(np.float32)),
        pairs=_fixed(pairs),
        classes=dict(Counter(first.classes) + Counter(second.classes)),
    )


def _sketch(column: NDArray[np.float32]) -> Sketch:
    sketch = Sketch()
    sketch.update(column)
    return sketch


def _both(first: Sketch, second: Sketch) -> Sketch:
    together = first.copy()
    together.merge(second)
    return together


def _weighted(steps: NDArray[np.float32], pairs: NDArray[np.int32]) -> NDArray[np.float64]:
    return np.where(pairs > 0, steps, 0).astype(np.float64) * pairs


def _fixed(array: NDArray[Any]) -> NDArray[Any]:
    array.setflags(write=False)
    return array


def _moment(value: float | str) -> float:
    """Unix time of a number or of RFC 3339 text, as stamped messages have it."""
    if isinstance(value, str):
        return datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp()
    return float(value)
