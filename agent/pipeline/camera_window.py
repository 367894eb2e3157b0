"""Camera windows: one camera's results in one window, gathered frame by frame and summarised as one flat object."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from agent.core.kll import Sketch
from agent.core.stages import STAGES, TOTAL
from agent.core.types import CameraStatus, FrameResult, StageSeconds

FOLDED_FRAMES = 2048
LEAST_SLEEP_SECONDS = 0.5  # the clocks are read one after the other
RANKS = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameCounts:
    """What became of a camera's frames in a window; `seen` is how many the camera delivered.

    `dropped` frames were replaced by newer ones before the model was free, `skipped` ones left out for `max_fps`,
    `still` ones since nothing moved (`motion_gate`).
    """

    seen: int = 0
    dropped: int = 0
    skipped: int = 0
    still: int = 0
    failed: int = 0
    reconnects: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CameraSummary:
    """A closed window of one camera: the flat `body` to publish and the latency sketches it was made from.

    `sketches` maps a stage (`latency` is capture to result) to its sketch, in seconds: they let windows be
    merged later without averaging percentiles.
    """

    camera: str
    start: float
    end: float
    body: Mapping[str, Any]
    sketches: Mapping[str, Sketch]


def class_field(name: str) -> str:
    """The field that counts detections of the class `name`: `detections_traffic_light`."""
    return f"detections_{re.sub(r'[^a-z0-9]+', '_', name.lower()).strip('_')}"


_LONGEST_NAMES = 8000
_OTHER_FIGURES = frozenset({"detections_per_frame"})


@lru_cache(maxsize=8)
def class_fields(names: tuple[str, ...]) -> tuple[str, ...]:
    """The field of each class, of its own.

    One that several would share, that another figure has, or that no letter is left in ends in the class's number.
    """
    fields = [class_field(name) for name in names]
    shared, made = Counter(fields), set[str]()
    for number, field in enumerate(fields):
        if shared[field] > 1 or field == class_field("") or field in _OTHER_FIGURES:
            fields[number] = f"{field.rstrip('_')}_{number}"
        while fields[number] in made or (fields[number] != field and fields[number] in shared):
            fields[number] += f"_{number}"
        made.add(fields[number])
    return tuple(fields)


def field_names(names: Sequence[str]) -> str:
    """The names that their field does not carry as they are, each as `field=name`; at most `_LONGEST_NAMES` letters."""
    pairs = zip(class_fields(tuple(names)), names, strict=True)
    odd = [f"{field}={name}" for field, name in pairs if field != f"detections_{name.replace(' ', '_')}"]
    return "; ".join(odd)[:_LONGEST_NAMES]


def _unnamed_field(class_id: int, taken: Sequence[str]) -> str:
    """The field of a class that the model has no name for."""
    field = class_field(str(class_id))
    return field if field not in taken else class_field(f"unnamed class {class_id}")


class CameraWindow:
    """One camera's open window. Belongs to one thread; cheap to add to: lists now, sketches of FOLDED_FRAMES at a time.

    A window may last an hour: 30 frames a second took 15 MB of lists.
    """

    def __init__(self, camera: str, class_names: Sequence[str], start: float) -> None:
        self.camera, self.start = camera, start
        self._names = class_names
        self._stages: list[StageSeconds] = []  # of the frames that no sketch has yet
        self._sketches = {stage: Sketch() for stage in (*STAGES, TOTAL)}
        self._inferred = 0
        self._batches = 0
        self._classes: Counter[int] = Counter()
        self._confidence = 0.0

    @property
    def inferred(self) -> int:
        """Frames that the model has run on so far."""
        return self._inferred

    def add(self, result: FrameResult) -> None:
        """Count one frame that went through the model."""
        self._stages.append(result.stages)
        self._inferred += 1
        if len(self._stages) >= FOLDED_FRAMES:
            self._fold()
        self._batches += result.batch
        self._classes.update(result.detections.class_ids.tolist())
        self._confidence += float(result.detections.scores.sum())

    def close(self, end: float, seconds: float, counts: FrameCounts, status: CameraStatus) -> CameraSummary:
        """The summary at `end`, after a window of `seconds` by the monotonic clock.

        A box that slept meanwhile had a window of the time that it was awake.
        """
        self._fold()
        sketches = self._sketches
        start = end - seconds if end - seconds - self.start > LEAST_SLEEP_SECONDS else self.start
        seconds = max(seconds, 1e-9)
        detections = sum(self._classes.values())
        body: dict[str, Any] = {
            "start": start,
            "end": end,
            "state": status.state.value,
            "state_reason": status.reason,
            "state_since": status.since,
            **({"light_mode": status.light_mode} if status.light_mode else {}),
            "frames_seen": counts.seen,
            "frames_inferred": self.inferred,
            "frames_dropped": counts.dropped,
            "frames_failed": counts.failed,
            **({"frames_skipped": counts.skipped} if counts.skipped else {}),
            **({"frames_still": counts.still} if counts.still else {}),
            "reconnects": counts.reconnects,
            "fps_in": round(counts.seen / seconds, 3),
            "fps_inferred": round(self.inferred / seconds, 3),
            **latency_fields(sketches),
            "detections": detections,
        }
        if self.inferred:
            body["batch_mean"] = round(self._batches / self.inferred, 2)
            body["detections_per_frame"] = round(detections / self.inferred, 4)
        if detections:
            body["confidence_mean"] = round(self._confidence / detections, 4)
        fields = class_fields(tuple(self._names))
        for class_id, count in sorted(self._classes.items()):
            known = 0 <= class_id < len(fields)
            body[fields[class_id] if known else _unnamed_field(class_id, fields)] = count
        return CameraSummary(camera=self.camera, start=start, end=end, body=body, sketches=sketches)

    def _fold(self) -> None:
        """Bring the times of the frames so far into the sketches."""
        columns = {stage: [getattr(times, stage) for times in self._stages] for stage in STAGES}
        columns[TOTAL] = [times.total for times in self._stages]
        for stage, values in columns.items():
            self._sketches[stage].update(np.asarray(values, dtype=np.float32))
        self._stages = []


def latency_fields(sketches: Mapping[str, Sketch]) -> dict[str, float]:
    """`latency_p50_seconds`, ..., `decode_p50_seconds`, ... of the sketches that hold anything."""
    fields: dict[str, float] = {}
    for stage, sketch in sketches.items():
        if not sketch.count:
            continue
        for rank, value in zip(RANKS, sketch.quantiles(list(RANKS.values())), strict=True):
            fields[f"{stage}_{rank}_seconds"] = round(float(value), 6)
        fields[f"{stage}_max_seconds"] = round(float(sketch.maximum), 6)
    return fields
