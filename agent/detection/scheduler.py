"""The inference scheduler: takes the newest frames, batches them, runs the detector, hands on the results.

Frames that show nothing new are left out where the camera asks for it (`gate`), and while the box is too hot
the model rests between runs (`governor`): the frames of that time are replaced by newer ones and counted.

Lanes (threads) work abreast. On the CPU each runs the model on few threads. Beside a GPU one runs it, while
another prepares the next batch and reads the last one; that chooses its frames as late as it can, just before the
model is free: an early choice would be an old one, and a small batch. Results are handed on in the order in
which their frames were chosen.

What must happen between two batches, such as the exchange of the model, is handed to `between_batches`. It stops no
lane: a batch keeps the model that was there when it was chosen.

One bad frame must not hurt another camera: a batch that fails is tried again frame by frame, and what fails
alone is counted and left out. A lost GPU, or memory too small for even one frame, ends `run`, so that the
supervisor starts it anew with a fresh session.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from agent.core import clock
from agent.core.errors import InferenceError, InferenceFailure
from agent.core.frame_slots import FrameSlots
from agent.core.types import Frame, FrameResult, StageSeconds
from agent.core.worker import Worker
from agent.detection import Detect, DetectedBatch, ObjectDetector
from agent.detection.batching import BatchSizer, sizes
from agent.detection.lanes import BusyForecast, ResultOrder, work_abreast
from agent.detection.motion_gate import MotionGate
from agent.detection.thermal.governor import Governor

log = structlog.get_logger("vedette.detection")

_BATCHES_TRIED = 2
_IDLE_SECONDS = 0.5  # how often an idle or resting scheduler looks whether it is to stop


@dataclass(slots=True)
class ServedCounts:
    """Frames that went through the model since the start, and those that it failed on."""

    served: int = 0
    failed: int = 0


class Between:
    """A task that runs between the choice of two batches, and what follows it between their results.

    `done` once both ran.
    """

    def __init__(self, task: Callable[[], None], then: Callable[[], None]) -> None:
        self._task, self._then, self.done = task, then, threading.Event()
        self._error: Exception | None = None

    def run(self) -> None:
        """Run the task, whatever comes of it."""
        self._attempt(self._task)

    def finish(self) -> None:
        """Run what follows, unless the task failed."""
        if self._error is None:
            self._attempt(self._then)
        self.done.set()

    def check(self) -> None:
        """Raise what was raised."""
        if self._error is not None:
            raise self._error

    def _attempt(self, task: Callable[[], None]) -> None:
        try:
            task()
        except Exception as error:  # noqa: BLE001  (raised by `check`, in the thread of who wants it)
            self._error = error


class Scheduler(Worker):
    """Serves every camera's newest frame, longest-waiting first.

    At most `max_batch` frames share a run (fewer where the model takes fewer, or where fewer are faster); once
    one frame is there, it waits `batch_wait` seconds for those of the other cameras, `cameras()` in all.
    `deliver` gets each result, by one thread at a time, and must not block. A still scene of a camera goes
    through the model every `still_interval(camera)` seconds only; 0: every frame does. `first_batch` None: batches
    begin full where the model runs beside the CPU, else single. Of a frame that `watches` no longer nothing is kept.
    `note` gets a camera and why the model fails on its frames, "" once it does not.
    """

    def __init__(
        self,
        detector: ObjectDetector,
        slots: FrameSlots,
        deliver: Callable[[FrameResult], None],
        *,
        max_batch: int,
        batch_wait: float,
        cameras: Callable[[], int] | None = None,
        still_interval: Callable[[str], float] = lambda _camera: 0.0,
        governor: Governor | None = None,
        first_batch: int | None = None,
        watches: Callable[[Frame], bool] = lambda _frame: True,
        note: Callable[[str, str], None] = lambda _camera, _note: None,
    ) -> None:
        super().__init__("scheduler")
        self._detector, self._slots, self._deliver = detector, slots, deliver
        self._max_batch, self._batch_wait = max_batch, batch_wait
        self._cameras = cameras or (lambda: max_batch)
        self._gate, self._still_interval = MotionGate(), still_interval
        self._governor = governor or Governor(0.0)
        self._first_batch, self._watches, self._note = first_batch, watches, note
        self._lanes, self._abreast = 1, 1  # in all, and those that may run the model at a time
        self._sizer = BatchSizer(max_batch, max_batch)
        self._lock = threading.Lock()
        self._failing: set[str] = set()
        self._batches_failed = 0
        self._choosing = threading.Lock()
        self._turns, self._outlook = ResultOrder(), BusyForecast()
        self._between: Between | None = None
        self.counts = ServedCounts()

    def run(self, stop: threading.Event) -> None:
        """Open the detector and serve frames until `stop` is set. Raises InferenceError, ModelError."""
        try:
            self._open()
            work_abreast(self._lanes, lambda: self._step(stop), stop)
        finally:
            self._detector.close()

    def remove(self, camera: str) -> None:
        """Discard what is kept of a camera that was removed."""
        with self._lock:
            self._gate.remove(camera)
            self._failing.discard(camera)

    def between_batches(self, task: Callable[[], None], then: Callable[[], None], timeout: float) -> None:
        """Have a lane run `task` between two batches, and `then` between their results; no lane waits for another.

        Batches chosen before `task` keep the model that was there; `then` runs when their results are delivered, and
        before any later result is. Raises what one of them raised (`then` does not run if `task` did), and
        InferenceError where `task` is not begun within `timeout` seconds: then it never runs.
        """
        between = Between(task, then)
        with self._lock:
            self._between = between
        if not between.done.wait(timeout):
            with self._lock:
                withdrawn = self._between is between
                self._between = None if withdrawn else self._between
            if withdrawn:
                raise InferenceError(
                    f"the model was at work for {timeout:.0f} s", kind=InferenceFailure.OTHER
                )
            between.done.wait()
        between.check()

    def _open(self) -> None:
        self.warming = True  # an engine build takes minutes
        try:
            self._detector.open()
        finally:
            self.beat()
            self.warming = False
        self._size()
        info = self._detector.info
        self._turns, self._outlook = ResultOrder(), BusyForecast()  # what a run that failed had begun is over
        self._lanes = info.lanes
        self._abreast = info.lanes if info.threads else 1

    def _size(self) -> None:
        """Begin with the batches that the model takes."""
        info = self._detector.info
        most = min(self._max_batch, info.max_batch)
        self._sizer = BatchSizer(
            *((most, self._first_batch) if self._first_batch else sizes(most, info.threads))
        )

    # -- one batch, in the thread of its lane -----------------------------------------------------------------

    def _step(self, stop: threading.Event) -> None:
        with self._choosing:
            self.beat()
            self._run_between()
            frames = self._choose(stop)
            if not frames:
                return
            detect = self._detector.bound()
            turn = self._turns.begin()
            self._outlook.begun(len(frames), clock.monotonic())
        results: list[FrameResult] = []
        try:
            self._serve(detect, frames, results)
        finally:
            del detect  # a model that was exchanged is freed by who has it now, not here
            self._turns.deliver(turn, lambda: self._tell(results))

    def _run_between(self) -> None:
        with self._lock:
            between, self._between = self._between, None
        if between is not None:
            turn = self._turns.begin()
            between.run()
            self._size()
            self._turns.deliver(turn, between.finish)

    def _choose(self, stop: threading.Event) -> list[Frame]:
        if rest := self._governor.rest_seconds():
            stop.wait(min(rest, _IDLE_SECONDS))
            return []
        limit = self._sizer.next()
        enough = max(1, min(self._cameras(), limit))
        if self._abreast == 1 and (early := self._outlook.choose_in(enough, clock.monotonic())):
            stop.wait(min(early, _IDLE_SECONDS))
        frames = self._slots.take(limit, timeout=_IDLE_SECONDS, linger=self._batch_wait, enough=enough)
        with self._lock:
            frames = [one for one in frames if self._watches(one)]
            news = [one for one in frames if self._gate.passes(one, self._still_interval(one.camera))]
        for one in frames:
            if one not in news:
                self._slots.count_still(one.camera)
        return news

    def _serve(self, detect: Detect, frames: Sequence[Frame], results: list[FrameResult]) -> None:
        """Run the model on `frames`, singly where they fail together; adds what came of it to `results`."""
        try:
            results += self._detect(detect, frames)
        except InferenceError as error:
            self._outlook.ended(len(frames), clock.monotonic())
            if error.kind is InferenceFailure.GPU_LOST or (
                error.kind is InferenceFailure.OUT_OF_MEMORY and len(frames) == 1
            ):
                self._count_failed(frames)
                raise
            if len(frames) == 1:
                self._leave_out(frames[0], error)
                return
            if error.kind is InferenceFailure.OUT_OF_MEMORY:  # the batch was too big
                most = max(1, len(frames) // 2)
                self._sizer.at_most(most)
                log.warning("not enough memory for the batch, making it smaller", frames=most)
            self._serve_singly(detect, frames, results)
            if error.kind is not InferenceFailure.OUT_OF_MEMORY and len(results) == len(frames):
                self._take_no_batches(str(error))

    def _take_no_batches(self, reason: str) -> None:
        """A batch failed whose frames all work alone; a second time in a row it is the model: its batch is fixed."""
        with self._lock:
            self._batches_failed += 1
            learnt = self._batches_failed == _BATCHES_TRIED
            if learnt:
                self._sizer.at_most(1)
        if learnt:
            log.warning("the model takes no batches, running each frame alone", reason=reason)

    def _serve_singly(self, detect: Detect, frames: Sequence[Frame], results: list[FrameResult]) -> None:
        waiting = list(frames)
        try:
            while waiting:
                self._outlook.begun(1, clock.monotonic())
                self._serve(detect, [waiting.pop(0)], results)
        except InferenceError:
            self._count_failed(waiting)
            raise

    def _detect(self, detect: Detect, frames: Sequence[Frame]) -> list[FrameResult]:
        batch = detect(frames)
        self.beat()
        done = clock.monotonic_ns()
        ran = done / 1e9 - batch.postprocess
        self._outlook.ended(len(frames), ran, prepare=batch.preprocess, run=batch.inference)
        self._governor.ran(ran - batch.inference, batch.inference, self._abreast)
        with self._lock:
            self.counts.served += len(frames)
            self._sizer.ran(len(frames), batch.inference)
            if len(frames) > 1:
                self._batches_failed = 0
        return [
            FrameResult(
                frame=frame, detections=detections, stages=_stages(frame, batch, done), batch=len(frames)
            )
            for frame, detections in zip(frames, batch.detections, strict=True)
        ]

    def _tell(self, results: Sequence[FrameResult]) -> None:
        for result in results:
            self.attempt("deliver a result", partial(self._deliver, result))
            camera = result.frame.camera
            if camera in self._failing:
                self._failing.discard(camera)
                self._note(camera, "")
                log.info("the model processes frames again", camera=camera)

    def _leave_out(self, frame: Frame, error: InferenceError) -> None:
        self._count_failed([frame])
        with self._lock:
            news = self._watches(frame) and frame.camera not in self._failing
            self._failing.update([frame.camera] if news else [])
        if news:
            self._note(frame.camera, f"the model fails on its frames: {error}")
            log.warning("the model cannot process frames", camera=frame.camera, reason=str(error))

    def _count_failed(self, frames: Sequence[Frame]) -> None:
        with self._lock:
            self.counts.failed += len(frames)
        for frame in frames:
            if self._watches(frame):
                self._slots.count_failed(frame.camera)


def _stages(frame: Frame, batch: DetectedBatch, done: int) -> StageSeconds:
    """What the frame's time until `done` (monotonic nanoseconds) went into; what was no work was waiting."""
    total = (done - frame.monotonic_ns) / 1e9
    work = batch.preprocess + batch.inference + batch.postprocess
    return StageSeconds(
        decode=frame.decode_seconds,
        wait=max(0.0, total - work),
        preprocess=batch.preprocess,
        inference=batch.inference,
        postprocess=batch.postprocess,
        total=total,
    )
