"""The analyst: the one thread in which results are gathered into windows, and windows are closed.

It owns every camera's window and monitor, and calls the `ResultSink`, so none of what they own needs a lock. Other
threads reach it through its inbox only. The inbox is bounded: when analysis falls behind, results are dropped and
counted, and the model never waits. An item that cannot be processed is counted and left out.

The active cameras are set by `set_cameras`, never inferred from a frame: a late frame of a camera that was removed or
changed is ignored.
"""

from __future__ import annotations

import dataclasses
import math
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from agent.core import clock
from agent.core.types import CameraState, CameraStatus, FrameResult, Observation
from agent.core.worker import Worker
from agent.pipeline.camera_window import CameraSummary, CameraWindow, FrameCounts

TICK_SECONDS = 1.0
INBOX_SIZE = 512

OPENING_SECONDS = 10.0
"""The first window of a run: after so much people see figures. It is published and counted, but not judged.

So is the window of a camera that was there for less than half of it (one that a reload added or changed): its counts
would look small.
"""

LEAST_WINDOW = 2 * OPENING_SECONDS  # windows shorter than this come soon enough


class CameraMonitor(Protocol):
    """Judges one camera's frames and windows, beyond counting them (drift)."""

    def add_frame(self, result: FrameResult, /) -> None:
        """Process one frame."""

    def close(self, summary: CameraSummary, now: float, /) -> tuple[dict[str, object], list[Observation]]:
        """At the end of a window: fields for its summary, and observations for the rules."""

    def skip(self, summary: CameraSummary, /) -> dict[str, object]:
        """At the end of a window that is not judged: fields for its summary."""

    def save(self, now: float, /) -> None:
        """The camera was removed or the agent stops: save what must not be lost."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CameraRun:
    """A camera from when it was added or changed, `since_ns` (monotonic), until it is changed again or removed.

    `status` gives its last known state, None before the first; `take_counts` what became of its frames since the last
    call.
    """

    name: str
    since_ns: int
    status: Callable[[], CameraStatus | None]
    take_counts: Callable[[], FrameCounts]


ActiveCameras = Mapping[str, CameraRun]
"""The cameras in use, by name."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClosedWindow:
    """One camera's window at its end: its summary, drift fields included, and the monitor's observations.

    `judged` is False where it is too short for the rules.
    """

    summary: CameraSummary
    observations: Sequence[Observation]
    judged: bool


class ResultSink(Protocol):
    """Takes what the analyst produces, in steady time. All is called in the analyst's thread and must not block."""

    def frame(self, result: FrameResult, /) -> None:
        """A frame of an active camera, just added to its window."""

    def window(self, window: ClosedWindow, /) -> None:
        """A camera's window was closed."""

    def interval(self, start: float, end: float, /) -> None:
        """The windows of all cameras were closed."""

    def status(self, status: CameraStatus, now: float, /) -> None:
        """A camera changed state."""

    def tick(self, statuses: Sequence[CameraStatus], now: float, /) -> None:
        """About once a second: the state of every active camera."""

    def remove(self, camera: str, /) -> None:
        """A camera was removed or replaced: keep nothing of it."""

    def finish(self) -> None:
        """The last windows were closed."""


@dataclass(slots=True, eq=False)
class _Camera:
    run: CameraRun
    opened: float  # its window, monotonic
    window: CameraWindow
    status: CameraStatus
    monitor: CameraMonitor


class Analyst(Worker):
    """Gathers results per camera and window of `length` seconds; `monitor` makes a camera's monitor by its name.

    `sink` is set before it runs.
    """

    sink: ResultSink

    def __init__(
        self,
        length: float,
        *,
        class_names: Callable[[], Sequence[str]],
        monitor: Callable[[str], CameraMonitor],
    ) -> None:
        super().__init__("analysis")
        self._length = length
        self._class_names, self._monitor = class_names, monitor
        self._names = class_names()  # of the model whose results come, which is not always the one in force
        self._active: ActiveCameras = {}
        self._cameras: dict[str, _Camera] = {}
        self._inbox: deque[Callable[[], None]] = deque()
        self._wake = threading.Condition()
        self._opening = length >= LEAST_WINDOW
        self.lost = 0

    # -- called by other threads ------------------------------------------------------------------------

    def deliver(self, result: FrameResult) -> None:
        """A frame that went through the model."""
        self._post(lambda: self._result(result), droppable=True)

    def status_changed(self, status: CameraStatus, since_ns: int) -> None:
        """A camera changed state; `since_ns` is the start of the run that it belongs to."""
        self._post(lambda: self._status(status, since_ns))

    def set_cameras(self, active: ActiveCameras) -> None:
        """Replace the active cameras; the open windows of all others are closed and published."""
        self._post(lambda: self._change_cameras(active))

    def begin_anew(self) -> None:
        """Close the open windows, and go on with new monitors: what is delivered from now on is another model's."""
        self._post(self._begin_anew)

    def submit(self, task: Callable[[], None]) -> None:
        """Have `task` run in the analyst's thread: the way to reach what it owns."""
        self._post(task)

    def settle(self, timeout: float) -> bool:
        """Wait until all that was posted before is processed; whether it was within `timeout` seconds."""
        done = threading.Event()
        self._post(done.set)
        return done.wait(timeout)

    def _post(self, item: Callable[[], None], *, droppable: bool = False) -> None:
        with self._wake:
            if droppable and len(self._inbox) >= INBOX_SIZE:
                self.lost += 1
                return
            self._inbox.append(item)
            self._wake.notify()

    # -- in its own thread ------------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Work until stopped, then close the open windows and publish them."""
        opened = ticked = clock.monotonic()
        while not stop.is_set():
            length = OPENING_SECONDS if self._opening else self._length
            left = opened + length - clock.monotonic()  # a window is closed when it is due, not after
            self._work(min(0.2, TICK_SECONDS, max(left, 0.001)))
            self.beat()
            now = clock.monotonic()
            if now - opened >= length:
                self._close_windows(now - opened, least=math.inf if self._opening else self._length / 2)
                opened, self._opening = now, False
            if now - ticked >= TICK_SECONDS:
                self._update_cameras()
                self._tick()
                ticked = now
        self._work(0.0)
        left = clock.monotonic() - opened
        if left >= _sliver(self._length) or any(camera.window.inferred for camera in self._cameras.values()):
            self._close_windows(left, least=0.0)
        self.attempt("publish what is gathered", self.sink.finish)
        self._tick()
        for name, camera in self._cameras.items():
            self.attempt(f"save the state of camera {name}", partial(camera.monitor.save, clock.unix_now()))

    def _work(self, timeout: float) -> None:
        with self._wake:
            if not self._inbox and timeout:
                self._wake.wait(timeout)
            items, self._inbox = self._inbox, deque()
        for item in items:
            self.attempt("process an item", item)

    # -- cameras added and removed ----------------------------------------------------------------------

    def _change_cameras(self, active: ActiveCameras) -> None:
        self._active = active
        self._update_cameras()

    def _update_cameras(self) -> None:
        """Remove the cameras that are no longer active and add new ones; what fails is tried again at the next tick."""
        for name, camera in list(self._cameras.items()):
            if self._active.get(name) is not camera.run:
                self.attempt(f"remove camera {name}", partial(self._remove, name))
        for name, run in self._active.items():
            if name not in self._cameras:
                self.attempt(f"add camera {name}", partial(self._add, run))

    def _add(self, run: CameraRun) -> None:
        name, now = run.name, clock.now()
        self._cameras[name] = _Camera(
            run=run,
            opened=clock.monotonic(),
            window=CameraWindow(name, self._names, now),
            status=run.status() or CameraStatus(camera=name, state=CameraState.STARTING, since=now),
            monitor=self._monitor(name),
        )

    def _remove(self, name: str) -> None:
        """Close the open window of a camera, and keep nothing of it."""
        self._close(name, least=self._length / 2)
        camera = self._cameras.pop(name)
        self.attempt(f"save the state of camera {name}", partial(camera.monitor.save, clock.unix_now()))
        self.sink.remove(name)

    def _begin_anew(self) -> None:
        self._names = self._class_names()
        for name in list(self._cameras):
            self.attempt(f"begin camera {name} anew", partial(self._renew, name))

    def _renew(self, name: str) -> None:
        self._close(name, least=self._length / 2)
        camera = self._cameras[name]
        self.attempt(f"save the state of camera {name}", partial(camera.monitor.save, clock.unix_now()))
        camera.monitor = self._monitor(name)

    # -- frames and states ------------------------------------------------------------------------------

    def _result(self, result: FrameResult) -> None:
        camera = self._cameras.get(result.frame.camera)
        if camera is None or result.frame.monotonic_ns < camera.run.since_ns:
            return
        camera.window.add(result)
        self.sink.frame(result)
        camera.monitor.add_frame(result)

    def _status(self, status: CameraStatus, since_ns: int) -> None:
        camera = self._cameras.get(status.camera)
        if camera is None or since_ns != camera.run.since_ns:
            return
        camera.status = status
        self.sink.status(status, clock.now())

    # -- windows and ticks ------------------------------------------------------------------------------

    def _close_windows(self, seconds: float, *, least: float) -> None:
        """Close all; those of cameras that were active for less than `least` seconds are not judged."""
        monotonic, now = clock.monotonic(), clock.now()
        for name, camera in self._cameras.items():
            if camera.window.inferred or monotonic - camera.opened >= _sliver(seconds):
                self._close(name, least=least)
        self.sink.interval(now - seconds, now)

    def _close(self, name: str, *, least: float) -> None:
        """Close a camera's window and open the next, whatever goes wrong with this one."""
        camera, now, monotonic = self._cameras[name], clock.now(), clock.monotonic()
        window, seconds = camera.window, monotonic - camera.opened
        camera.window, camera.opened = CameraWindow(name, self._names, now), monotonic
        self.attempt(
            f"close the window of camera {name}",
            lambda: self.sink.window(self._closed(camera, window, now, seconds, judged=seconds >= least)),
        )

    def _closed(
        self, camera: _Camera, window: CameraWindow, now: float, seconds: float, *, judged: bool
    ) -> ClosedWindow:
        """What was counted in a window, with what its monitor says of it; without that where the monitor fails."""
        summary = window.close(now, seconds, camera.run.take_counts(), camera.status)
        fields: dict[str, object] = {}
        observations: list[Observation] = []

        def ask_monitor() -> None:
            if judged:
                found, observed = camera.monitor.close(summary, now)
                observations.extend(observed)
            else:
                found = camera.monitor.skip(summary)
            fields.update(found)

        self.attempt(f"judge the window of camera {summary.camera}", ask_monitor)
        whole = dataclasses.replace(summary, body={**summary.body, **fields})
        return ClosedWindow(summary=whole, observations=observations, judged=judged)

    def _tick(self) -> None:
        self.sink.tick([camera.status for camera in self._cameras.values()], clock.now())


def _sliver(length: float) -> float:
    """Seconds under which an empty window, of those that last `length`, would be meaningless."""
    return min(1.0, length / 2)
