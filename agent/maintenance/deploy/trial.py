"""A second model beside the running one: opened within limits, and run on the same frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from statistics import median

import psutil

from agent.config.schema import ModelSettings
from agent.core import clock
from agent.core import memory as heap
from agent.core.class_names import renamed
from agent.core.errors import ModelError
from agent.core.types import Frame, FrameResult
from agent.detection import DetectedBatch, ModelInfo, onnx_file
from agent.detection.matching import BoxMatches, match_boxes
from agent.detection.plausibility import Verification
from agent.detection.scheduler import ServedCounts
from agent.detection.session import Detector
from agent.maintenance.child import Pause
from agent.maintenance.deploy.comparison import LEAST_BOXES
from agent.maintenance.deploy.estimates import Estimates
from agent.maintenance.golden.images import golden_images

FRAMES_SECONDS = 60.0
"""How long recent frames are waited for; with none, the golden images alone are compared."""

POLL_SECONDS = 0.1
_MEMORY_TIMES = 3
"""A model takes so many times its file's size at least, while it is opened."""

_SPARE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunningModel:
    """The running model and what a deployment needs of the agent around it.

    `exchange` gives `detector` the model of another one, between two frames; it raises InferenceError. `results` are
    the newest of each camera, `counts` those of the frames served. `check` raises where a model does not fit the
    config, `full_pace` is False while the box is too hot. `changed` is called after each step, `disputed` for a result
    in which another model differs, with the share of boxes. `estimates` has what is estimated of its accuracy.
    """

    detector: Detector
    exchange: Callable[[Detector], None]
    results: Callable[[], Sequence[FrameResult]]
    counts: Callable[[], ServedCounts]
    check: Callable[[ModelInfo], None]
    full_pace: Callable[[], bool]
    changed: Callable[[], None]
    disputed: Callable[[FrameResult, float], None] = lambda _result, _share: None
    estimates: Estimates = field(default_factory=Estimates)


def open_beside(settings: ModelSettings, cache: Path | None) -> tuple[Detector, dict[str, float]]:
    """A second model, open, and what it took; raises ModelError, before it is opened where memory is too small."""
    size = onnx_file.plain_file(Path(settings.path)) if settings.path else 0
    free = heap.free_bytes()
    if free and free < _MEMORY_TIMES * size + _SPARE_BYTES:
        raise ModelError(
            f"{free >> 20} MiB of memory are free; a model of {size >> 20} MiB beside the running one needs more"
        )
    before, began = _memory(), clock.monotonic()
    second = Detector(settings, cache=cache)
    second.open()
    state, reason = second.verification
    if state is Verification.IMPLAUSIBLE:
        second.close()
        raise ModelError(f"its boxes cannot be objects: {reason}")
    numbers = {
        "memory_bytes": float(max(0, _memory() - before)),
        "load_seconds": round(clock.monotonic() - began, 3),
    }
    return second, numbers


def compare(running: RunningModel, second: Detector, frames: int, pause: Pause) -> dict[str, float]:
    """Run both models on the golden images and on recent frames: how far they agree, and how long they take.

    Raises InferenceError where one of them fails.
    """
    found, shapes = BoxMatches(), set[object]()
    seconds: list[tuple[float, float]] = []
    recent = (result.frame for result in LiveResults(running).wait(frames, FRAMES_SECONDS, pause))
    for frame in chain(_golden_frames(), recent):
        pause(0.0)
        if frame.image.shape not in shapes:  # the first run of a shape takes its memory, and its time
            shapes.add(frame.image.shape)
            run_both(running.detector, second, frame)
        alike, took = run_both(running.detector, second, frame)
        found += alike
        seconds.append(took)
    ours, theirs = (median(column) for column in zip(*seconds, strict=True))
    numbers = {
        "compared_frames": float(len(seconds)),
        "compared_boxes": float(found.boxes),
        "latency_seconds": round(theirs, 5),
        "latency_ratio": round(theirs / max(ours, 1e-9), 3),
    }
    ratio = found.f1(LEAST_BOXES)
    return numbers if ratio is None else {**numbers, "agreement_ratio": round(ratio, 4)}


def run_both(first: Detector, second: Detector, frame: Frame) -> tuple[BoxMatches, tuple[float, float]]:
    """How far two models agree on a frame, and the seconds that each took."""
    ours, theirs = first.detect([frame]), second.detect([frame])
    names = first.info.classes
    theirs_named = renamed(second.info.classes, names)
    found = match_boxes(ours.detections[0], names, theirs.detections[0], theirs_named)
    return found, (_seconds(ours), _seconds(theirs))


class LiveResults:
    """The results of live frames, each once."""

    def __init__(self, running: RunningModel) -> None:
        self._running = running
        self._seen: dict[str, int] = {}

    def take(self) -> list[FrameResult]:
        """Those of cameras that have a newer one than at the last call."""
        new = [one for one in self._running.results() if self._seen.get(one.frame.camera) != _key(one)]
        self._seen |= {one.frame.camera: _key(one) for one in new}
        return new

    def wait(self, count: int, seconds: float, pause: Pause) -> Iterator[FrameResult]:
        """Up to `count` of them, as they come within `seconds`."""
        until = clock.monotonic() + seconds
        while count > 0 and clock.monotonic() < until:
            for result in self.take()[:count]:
                count -= 1
                yield result
            pause(POLL_SECONDS)


def _key(result: FrameResult) -> int:
    return result.frame.monotonic_ns


def _seconds(batch: DetectedBatch) -> float:
    return batch.preprocess + batch.inference + batch.postprocess


def _golden_frames() -> Iterator[Frame]:
    blank = Frame(camera="golden", index=0, image=golden_images()[0], captured_at=0.0, monotonic_ns=0)
    return (replace(blank, index=number, image=image) for number, image in enumerate(golden_images()))


def _memory() -> int:
    heap.trim()
    return int(psutil.Process().memory_info().rss)
