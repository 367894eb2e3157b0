"""The inference scheduler: takes the newest frames, batches them, runs the detector, hands on the results.

Frames that show nothing new are left out where the camera asks for it (`gate`), and while the box is too hot
the model rests between runs (`governor`): the frames of that time are replaced by newer ones and counted.

One bad frame must not hurt another camera: a batch that fails is tried again frame by frame, and what fails
alone is counted and left out. A lost GPU, or memory too small for even one frame, ends `run`, so that the
supervisor starts it anew with a fresh session.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

import structlog

from agent.board import FrameBoard
from agent.detection import ObjectDetector
from agent.detection.gate import MotionGate
from agent.detection.governor import Governor
from agent.errors import InferenceError, InferenceFailure
from agent.parts import Part
from agent.types import Frame, FrameResult, StageSeconds

log = structlog.get_logger("vedette.detection")

_IDLE_SECONDS = 0.5  # how often an idle or resting scheduler looks whether it is to stop


class Scheduler(Part):
    """Serves every camera's newest frame, longest-waiting first.

    At most `max_batch` frames share a run (fewer where the model takes fewer); once one frame is there, it
    waits `batch_wait` seconds for those of the other cameras, `cameras()` in all. `deliver` gets each result
    and must not block. A still scene of a camera goes through the model every `still_interval(camera)` seconds
    only; 0: every frame does.
    """

    def __init__(
        self,
        detector: ObjectDetector,
        board: FrameBoard,
        deliver: Callable[[FrameResult], None],
        *,
        max_batch: int,
        batch_wait: float,
        cameras: Callable[[], int] | None = None,
        still_interval: Callable[[str], float] = lambda _camera: 0.0,
        governor: Governor | None = None,
    ) -> None:
        super().__init__("scheduler")
        self._detector, self._board, self._deliver = detector, board, deliver
        self._max_batch, self._batch_wait = max_batch, batch_wait
        self._cameras = cameras or (lambda: max_batch)
        self._gate, self._still_interval = MotionGate(), still_interval
        self._governor = governor or Governor(0.0)
        self._limit = max_batch
        self._lock = threading.Lock()
        self._failed: Counter[str] = Counter()
        self._still: Counter[str] = Counter()
        self._failing: set[str] = set()

    def run(self, stop: threading.Event) -> None:
        """Open the detector and serve frames until `stop` is set. Raises InferenceError, ModelError."""
        try:
            self._open()
            while not stop.is_set():
                self.beat()
                if rest := self._governor.rest_seconds():
                    stop.wait(min(rest, _IDLE_SECONDS))
                elif frames := self._choose():
                    self._serve(frames)
        finally:
            self._detector.close()

    def take_failed(self, camera: str) -> int:
        """How many frames of `camera` the model failed on, since the last call."""
        with self._lock:
            return self._failed.pop(camera, 0)

    def take_still(self, camera: str) -> int:
        """How many frames of `camera` were left out since they showed nothing new, since the last call."""
        with self._lock:
            return self._still.pop(camera, 0)

    def forget(self, camera: str) -> None:
        """A camera that was removed leaves nothing behind."""
        with self._lock:
            self._gate.forget(camera)
            self._failed.pop(camera, None)
            self._still.pop(camera, None)

    def _open(self) -> None:
        self.warming = True  # an engine build takes minutes
        try:
            self._detector.open()
        finally:
            self.beat()
            self.warming = False
        self._limit = min(self._max_batch, self._detector.info.max_batch)

    def _choose(self) -> list[Frame]:
        enough = max(1, min(self._cameras(), self._limit))
        frames = self._board.take(self._limit, timeout=_IDLE_SECONDS, linger=self._batch_wait, enough=enough)
        with self._lock:
            news = [one for one in frames if self._gate.passes(one, self._still_interval(one.camera))]
            self._still.update(one.camera for one in frames if one not in news)
        return news

    def _serve(self, frames: Sequence[Frame]) -> None:
        try:
            self._detect(frames)
        except InferenceError as error:
            if error.kind is InferenceFailure.GPU_LOST or (
                error.kind is InferenceFailure.OUT_OF_MEMORY and len(frames) == 1
            ):
                self._count_failed(frames)
                raise
            if len(frames) == 1:
                self._leave_out(frames[0], error)
                return
            if error.kind is InferenceFailure.OUT_OF_MEMORY:  # the batch was too big
                self._limit = max(1, len(frames) // 2)
                log.warning("not enough memory for the batch, making it smaller", frames=self._limit)
            self._serve_singly(frames)

    def _serve_singly(self, frames: Sequence[Frame]) -> None:
        waiting = list(frames)
        try:
            while waiting:
                self._serve([waiting.pop(0)])
        except InferenceError:
            self._count_failed(waiting)
            raise

    def _detect(self, frames: Sequence[Frame]) -> None:
        taken = time.monotonic_ns()
        batch = self._detector.detect(frames)
        self._governor.ran(taken / 1e9, batch.inference)
        self.beat()
        done = time.monotonic_ns()
        for frame, detections in zip(frames, batch.detections, strict=True):
            stages = StageSeconds(
                decode=frame.decode_seconds,
                wait=(taken - frame.monotonic_ns) / 1e9,
                preprocess=batch.preprocess,
                inference=batch.inference,
                postprocess=batch.postprocess,
                total=(done - frame.monotonic_ns) / 1e9,
            )
            self._deliver(FrameResult(frame=frame, detections=detections, stages=stages, batch=len(frames)))
            if frame.camera in self._failing:
                self._failing.discard(frame.camera)
                log.info("frames are detected on again", camera=frame.camera)

    def _leave_out(self, frame: Frame, error: InferenceError) -> None:
        self._count_failed([frame])
        if frame.camera not in self._failing:
            self._failing.add(frame.camera)
            log.warning("frames cannot be detected on", camera=frame.camera, reason=str(error))

    def _count_failed(self, frames: Sequence[Frame]) -> None:
        with self._lock:
            self._failed.update(frame.camera for frame in frames)
