"""The analyst: the one thread in which frames become windows, windows summaries, and both meet the rules.

It owns every camera's window, its drift judge and the alert engine, so none of them needs a lock. Others reach
it through its inbox only. The inbox is bounded: when analysis falls behind, results are let go and
counted, and the model never waits. An item that cannot be processed is counted and left out.

Which cameras there are it is told (`cameras`), it never infers that from a frame: one that comes late, of a camera
that was removed or changed, counts for nothing.
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

import structlog

from agent.core import clock
from agent.core.types import CameraState, CameraStatus, FrameResult, Observation
from agent.core.worker import Worker
from agent.pipeline.camera_window import STAGES, CameraSummary, CameraWindow, FrameCounts

log = structlog.get_logger("vedette.analysis")

TICK_SECONDS = 1.0
INBOX_SIZE = 512

OPENING_SECONDS = 10.0
"""The first window of a run: after so much people see figures. It is published and counted, but not judged.

So is the window of a camera that was there for less than half of it (one that a reload added or changed): its counts
would look small.
"""

LEAST_WINDOW = 2 * OPENING_SECONDS  # windows shorter than this come soon enough


class CameraWatch(Protocol):
    """What looks at a camera's frames and windows beyond counting them (drift)."""

    def see(self, result: FrameResult, /) -> None:
        """Take note of one frame."""

    def close(self, summary: CameraSummary, now: float, /) -> tuple[dict[str, object], list[Observation]]:
        """At the end of a window: fields for its summary, and what the rules should know."""

    def pass_over(self, summary: CameraSummary, /) -> dict[str, object]:
        """At the end of a window that is not judged: fields for its summary."""

    def leave(self, now: float, /) -> None:
        """The camera is gone or the agent stops: keep what must not be lost."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CameraRun:
    """A camera from when it was added or changed, `since_ns` (monotonic), until it is changed again or removed.

    `status` gives the last state told, None before the first; `take_counts` what became of its frames since the last
    call.
    """

    name: str
    since_ns: int
    status: Callable[[], CameraStatus | None]
    take_counts: Callable[[], FrameCounts]


ActiveCameras = Mapping[str, CameraRun]
"""The cameras that are watched, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """Where the analyst's results go; each is called in its thread and must not block."""

    counts: Callable[[CameraRun], FrameCounts]
    class_names: Callable[[], Sequence[str]]
    watch: Callable[[str], CameraWatch]
    on_result: Callable[[FrameResult], None]
    on_gone: Callable[[str], None]
    on_summary: Callable[[CameraSummary], list[Observation]]
    on_status: Callable[[CameraStatus], None]
    on_tick: Callable[[list[Observation], float], None]
    on_window: Callable[[float, float], None]


@dataclass(slots=True, eq=False)
class _Camera:
    incarnation: CameraRun
    opened: float  # its window, monotonic
    window: CameraWindow
    status: CameraStatus
    watch: CameraWatch


class Analyst(Worker):
    """Gathers results per camera and window; `length` is a window's length in seconds."""

    def __init__(self, hooks: Hooks, length: float) -> None:
        super().__init__("analysis")
        self._hooks, self._length = hooks, length
        self._cast: ActiveCameras = {}
        self._cameras: dict[str, _Camera] = {}
        self._inbox: deque[Callable[[], None]] = deque()
        self._wake = threading.Condition()
        self._pending: list[Observation] = []
        self._opening = length >= LEAST_WINDOW
        self.lost = 0

    # -- called by other threads ------------------------------------------------------------------------

    def deliver(self, result: FrameResult) -> None:
        """A frame that went through the model."""
        self._post(lambda: self._result(result), droppable=True)

    def status_changed(self, status: CameraStatus, since_ns: int) -> None:
        """A camera changed state; `since_ns` says which incarnation of it."""
        self._post(lambda: self._status(status, since_ns))

    def cameras(self, cast: ActiveCameras) -> None:
        """These cameras are watched from now on; of each other the open window is closed and published."""
        self._post(lambda: self._change_cast(cast))

    def submit(self, task: Callable[[], None]) -> None:
        """Have `task` run in the analyst's thread: the way to reach what it owns."""
        self._post(task)

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
                self._follow_cast()
                self._tick()
                ticked = now
        self._work(0.0)
        left = clock.monotonic() - opened
        if left >= _sliver(self._length) or any(camera.window.inferred for camera in self._cameras.values()):
            self._close_windows(left, least=0.0)
        self._tick()
        for name, camera in self._cameras.items():
            self.attempt(f"keep what is known of camera {name}", partial(camera.watch.leave, clock.wall()))

    def _work(self, timeout: float) -> None:
        with self._wake:
            if not self._inbox and timeout:
                self._wake.wait(timeout)
            items, self._inbox = self._inbox, deque()
        for item in items:
            self.attempt("process what was delivered", item)

    # -- cameras that come and go -----------------------------------------------------------------------

    def _change_cast(self, cast: ActiveCameras) -> None:
        self._cast = cast
        self._follow_cast()

    def _follow_cast(self) -> None:
        """Leave the cameras that are gone and begin with those that are new; what fails is tried at the next tick."""
        for name, camera in list(self._cameras.items()):
            if self._cast.get(name) is not camera.incarnation:
                self.attempt(f"leave camera {name}", partial(self._leave, name))
        for name, incarnation in self._cast.items():
            if name not in self._cameras:
                self.attempt(f"begin with camera {name}", partial(self._join, incarnation))

    def _join(self, incarnation: CameraRun) -> None:
        name, now = incarnation.name, clock.wall()
        self._cameras[name] = _Camera(
            incarnation=incarnation,
            opened=clock.monotonic(),
            window=CameraWindow(name, self._hooks.class_names(), now),
            status=incarnation.status() or CameraStatus(camera=name, state=CameraState.STARTING, since=now),
            watch=self._hooks.watch(name),
        )

    def _leave(self, name: str) -> None:
        """Publish the open window of a camera that is gone, and keep nothing of it: nor what was to be judged yet."""
        self._close(name, least=self._length / 2)
        camera = self._cameras.pop(name)
        self.attempt(f"keep what is known of camera {name}", partial(camera.watch.leave, clock.wall()))
        self._pending = [one for one in self._pending if one.labels.get("camera") != name]
        self._hooks.on_gone(name)

    # -- frames and states ------------------------------------------------------------------------------

    def _result(self, result: FrameResult) -> None:
        camera = self._cameras.get(result.frame.camera)
        if camera is None or result.frame.monotonic_ns < camera.incarnation.since_ns:
            return
        camera.window.add(result)
        self._hooks.on_result(result)
        camera.watch.see(result)

    def _status(self, status: CameraStatus, since_ns: int) -> None:
        camera = self._cameras.get(status.camera)
        if camera is None or since_ns != camera.incarnation.since_ns:
            return
        camera.status = status
        self._pending += state_observations(status, clock.wall())
        self._hooks.on_status(status)

    # -- windows and ticks ------------------------------------------------------------------------------

    def _close_windows(self, seconds: float, *, least: float) -> None:
        """Close all; those of cameras that were there for less than `least` seconds are not judged."""
        monotonic, now = clock.monotonic(), clock.wall()
        for name, camera in self._cameras.items():
            if camera.window.inferred or monotonic - camera.opened >= _sliver(seconds):
                self._close(name, least=least)
        self._hooks.on_window(now - seconds, now)

    def _close(self, name: str, *, least: float) -> None:
        """Close and publish the window of a camera, and open the next, whatever goes wrong with this one."""
        camera, now, monotonic = self._cameras[name], clock.wall(), clock.monotonic()
        window, seconds = camera.window, monotonic - camera.opened
        camera.window, camera.opened = CameraWindow(name, self._hooks.class_names(), now), monotonic
        self.attempt(
            f"close the window of camera {name}",
            lambda: self._publish(camera, window, now, seconds, judged=seconds >= least),
        )

    def _publish(
        self, camera: _Camera, window: CameraWindow, now: float, seconds: float, *, judged: bool
    ) -> None:
        summary = window.close(now, seconds, self._hooks.counts(camera.incarnation), camera.status)
        if judged:
            fields, observations = camera.watch.close(summary, now)
        else:
            fields, observations = camera.watch.pass_over(summary), []
        whole = dataclasses.replace(summary, body={**summary.body, **fields})
        told = [*summary_observations(whole), *observations, *self._hooks.on_summary(whole)]
        self._pending += told if judged else [dataclasses.replace(one, judged=False) for one in told]

    def _tick(self) -> None:
        now = clock.wall()
        states = [
            observation
            for camera in self._cameras.values()
            for observation in state_observations(camera.status, now)
        ]
        observations, self._pending = [*self._pending, *states], []
        self._hooks.on_tick(observations, now)


def state_observations(status: CameraStatus, at: float) -> list[Observation]:
    """A camera's state as 0/1 numbers: `camera.down`, `camera.frozen`, ..."""
    labels = {"camera": status.camera}
    return [
        Observation(
            metric=f"camera.{state.value}",
            value=float(state is status.state),
            at=at,
            labels=labels,
            text=status.reason if state is status.state else "",
        )
        for state in CameraState
    ]


def summary_observations(summary: CameraSummary) -> list[Observation]:
    """Every number of a summary as `camera.<field>`; a latency brings the times of its stages as evidence."""
    labels = {"camera": summary.camera}
    return [
        Observation(
            metric=f"camera.{key}",
            value=float(value),
            at=summary.end,
            labels=labels,
            evidence=_stages(key, summary.body) if key.startswith("latency_") else {},
        )
        for key, value in summary.body.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    ]


def _stages(key: str, body: Mapping[str, object]) -> dict[str, object]:
    """Where the time of `latency_p99_seconds` went: the same quantile of each stage."""
    of_stage = {f"{stage}_{key.removeprefix('latency_')}" for stage in STAGES}
    return {name: body[name] for name in body if name in of_stage}


def _sliver(length: float) -> float:
    """Seconds under which an empty window, of those that last `length`, would say nothing."""
    return min(1.0, length / 2)
