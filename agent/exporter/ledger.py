"""The ledger: keeps what the agent observes as numbers by metric and labels, until they are asked for.

Numbers of the moment are replaced as a whole each second, a camera's window by its next one, and counts are added
up: nothing stays that is no longer true. Memory is bounded: MOST_SERIES of a metric, the rest is counted.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agent.core.metrics.definition import ValidFor
from agent.core.stages import STAGES
from agent.core.types import FrameResult, Observation, StageSeconds
from agent.exporter.catalogue import LATENCY_BUCKETS, ExportedMetric, find

MOST_SERIES = 2000
"""Of one metric. 16 cameras that see 80 classes each are 1,280."""

MOST_FRAMES = 20_000
"""Frames kept between two ticks of the agent."""

WINDOW_END = "vedette_camera_window_end_timestamp_seconds"
CLOSES_WINDOW = "camera.frames_seen"  # in every summary, whatever the camera does

LabelTuple = tuple[str, ...]  # values, in the order of the metric's labels
Series = dict[str, dict[LabelTuple, float]]  # by metric


@dataclass(slots=True, eq=False)
class Histogram:
    """Counts of one camera and stage; `counts` (buckets + 1,) are not cumulative, the last is beyond all."""

    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(LATENCY_BUCKETS) + 1, np.int64))
    total: float = 0.0

    def add(self, values: NDArray[np.float64]) -> None:
        """Count `values` (n,), in seconds."""
        places = np.searchsorted(LATENCY_BUCKETS, values, side="left")
        self.counts += np.bincount(places, minlength=len(self.counts))
        self.total += float(values.sum())


class Ledger:
    """Fed by the agent's threads, read by the HTTP server's: one lock, held for well under a millisecond."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frames: deque[tuple[str, StageSeconds]] = deque(maxlen=MOST_FRAMES)
        self._now: Series = {}
        self._window: Series = {}
        self._added: Series = {}
        self._histograms: dict[LabelTuple, Histogram] = {}
        self._left_out: set[tuple[str, LabelTuple]] = set()

    def frame(self, result: FrameResult) -> None:
        """A frame went through the model. Costs one append in the caller's thread."""
        self._frames.append((result.frame.camera, result.stages))

    def observe(self, observations: Iterable[Observation]) -> None:
        """Everything that was observed since the last call; called every second."""
        fresh: Series = {}
        with self._lock:
            observations = list(observations)
            self._end_windows(observations)
            for observation in observations:
                found = find(observation.metric)
                if found is not None:
                    self._note(fresh, found[0], dict(found[1]), observation)
            self._now = fresh
            self._count_frames()

    def remove(self, camera: str) -> None:
        """A camera was removed."""
        with self._lock:
            self._count_frames()  # its last ones too, or the next tick would bring it back
            for series in (self._now, self._window, self._added):
                _drop_cameras(series, {camera})
            self._histograms = {key: kept for key, kept in self._histograms.items() if key[0] != camera}

    def values(self) -> Series:
        """Every number, by metric and by the values of its labels."""
        with self._lock:
            return {
                name: dict(numbers)
                for series in (self._now, self._window, self._added)
                for name, numbers in series.items()
            }

    def latencies(self) -> dict[LabelTuple, Histogram]:
        """The histograms, by (camera, stage)."""
        with self._lock:
            self._count_frames()
            return {key: Histogram(kept.counts.copy(), kept.total) for key, kept in self._histograms.items()}

    @property
    def left_out(self) -> int:
        """How many series were refused."""
        return len(self._left_out)

    # -- under the lock ---------------------------------------------------------------------------------

    def _end_windows(self, observations: Iterable[Observation]) -> None:
        """Let go of what the last window said of the cameras that have a new one."""
        ended = {one.labels["camera"]: one.at for one in observations if one.metric == CLOSES_WINDOW}
        if not ended:
            return
        _drop_cameras(self._window, ended)
        for camera, at in ended.items():
            self._put(self._window, WINDOW_END, (camera,), at)

    def _note(
        self, fresh: Series, entry: ExportedMetric, named: Mapping[str, str], observation: Observation
    ) -> None:
        labels = {"name": observation.text, **observation.labels, **named}
        values = tuple(labels.get(name, "") for name in entry.labels)
        if entry.valid is ValidFor.ADD:
            before = self._added.get(entry.name, {}).get(values, 0.0)
            self._put(self._added, entry.name, values, before + observation.value)
        else:
            series = fresh if entry.valid is ValidFor.NOW else self._window
            self._put(series, entry.name, values, observation.value)
        self._explain(fresh, observation)

    def _explain(self, fresh: Series, observation: Observation) -> None:
        """What an observation says in words, as series of its own: a GPU's state, why it is throttled."""
        gpu = observation.labels.get("gpu", "")
        if observation.metric == "gpu.throttled":
            for reason in filter(None, observation.text.split(",")):
                self._put(fresh, "vedette_gpu_throttle_reason", (gpu, reason), 1.0)
        elif observation.metric == "gpu.lost":
            state = str(observation.evidence.get("gpu_state") or ("lost" if observation.value else "ok"))
            for name in ("ok", "lost", "absent", "driver_mismatch"):
                self._put(fresh, "vedette_gpu_state", (gpu, name), float(name == state))

    def _put(self, series: Series, name: str, labels: LabelTuple, value: float) -> None:
        numbers = series.setdefault(name, {})
        if labels in numbers or len(numbers) < MOST_SERIES:
            numbers[labels] = value
        elif len(self._left_out) < MOST_SERIES:
            self._left_out.add((name, labels))

    def _count_frames(self) -> None:
        """Sort the frames since the last time into the histograms."""
        stages: dict[str, list[StageSeconds]] = {}
        while self._frames:
            camera, times = self._frames.popleft()
            stages.setdefault(camera, []).append(times)
        for camera, waiting in stages.items():
            for stage in (*STAGES, "total"):
                values = np.array([getattr(one, stage) for one in waiting], dtype=np.float64)
                self._histograms.setdefault((camera, stage), Histogram()).add(values)


def _drop_cameras(series: Series, cameras: Container[str]) -> None:
    """Take out what is said of `cameras`; in a camera's metrics its name is the first label."""
    for name, numbers in series.items():
        if name.startswith("vedette_camera_"):
            for labels in [labels for labels in numbers if labels[0] in cameras]:
                del numbers[labels]
