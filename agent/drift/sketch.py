"""Windows: what one camera's features did over a minute, small and mergeable.

A window keeps one KLL sketch per feature, the mean size of a feature's steps from one sampled frame to the next
(a sketch forgets order, and a change of noise shows in the steps first), and how often each class was seen.
"""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core.kll import Sketch
from agent.core.printable import printable
from agent.core.untrusted import BadInput, take_integer, take_number, take_text

WIRE_ITEMS = 32  # values kept per feature on the wire: 20 features stay below 6 kB, ranks within 3 %
_FIRST_ROWS = 256
_KLL, _STEP = "_kll", "_step_mean"
_CLASS = re.compile(r"class_([0-9]{1,9})_count")
_MOST = 2**31 - 1  # frames and boxes of a window
_LONGEST = 128

FEATURE_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")
"""A feature's name is part of a field's, a topic's and a picture's file name."""

MOST_FEATURES = 256
LATEST = 253_402_214_400.0
"""The last day of the year 9999: beyond, no date can be written."""


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
            return cls._read(body)
        except ValueError as error:
            raise BadInput(f"not a window of sketches: {error}") from None

    @classmethod
    def _read(cls, body: Mapping[str, Any]) -> WindowSketch:
        features = tuple(name[: -len(_KLL)] for name in body if name.endswith(_KLL))
        if not features:
            raise BadInput("there is no sketch in it")
        if len(features) > MOST_FEATURES:
            raise BadInput(f"{len(features)} features; at most {MOST_FEATURES} are accepted")
        strange = next((name for name in features if not FEATURE_NAME.fullmatch(name)), None)
        if strange is not None:
            raise BadInput(f"'{printable(strange, 40)}' is not a feature's name")
        frames = take_integer(body, "frames_sampled", minimum=0, maximum=_MOST)
        steps = np.array([_step(body, name) for name in features], dtype=np.float32)
        start, end = _moment(body, "start"), _moment(body, "end")
        return cls(
            camera=printable(take_text(body, "camera", longest=_LONGEST)),
            start=start,
            end=end,
            features=features,
            feature_version=printable(take_text(body, "feature_version", longest=_LONGEST)),
            frames=frames,
            sketches=tuple(_sent(body, f"{name}{_KLL}") for name in features),
            steps=_fixed(steps),
            pairs=_fixed(np.where(np.isfinite(steps), max(frames - 1, 0), 0).astype(np.int32)),
            classes=_classes(body),
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
    pairs = np.minimum(first.pairs.astype(np.int64) + second.pairs, _MOST).astype(np.int32)
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


def _sent(body: Mapping[str, Any], key: str) -> Sketch:
    try:
        return Sketch.from_text(body[key])
    except ValueError as error:
        raise BadInput(f"`{key}` is {error}") from None


def _step(body: Mapping[str, Any], name: str) -> float:
    largest = float(np.finfo(np.float32).max)
    return float(take_number(body, f"{name}{_STEP}", np.nan, minimum=0.0, maximum=largest))


def _classes(body: Mapping[str, Any]) -> dict[int, int]:
    return {
        int(found[1]): take_integer(body, key, minimum=0, maximum=_MOST)
        for key in body
        if (found := _CLASS.fullmatch(key))
    }


def _moment(body: Mapping[str, Any], key: str) -> float:
    """Unix time of a number or of RFC 3339 text, as stamped messages have it."""
    value = body.get(key)
    if not isinstance(value, str):
        return float(take_number(body, key, minimum=0.0, maximum=LATEST))
    try:
        at = datetime.fromisoformat(take_text(body, key, longest=40).replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError):
        raise BadInput(
            f"`{key}` is '{printable(value, 40)}'; expected a time such as 2026-01-01T00:00:00Z"
        ) from None
    return float(take_number({key: at}, key, minimum=0.0, maximum=LATEST))
