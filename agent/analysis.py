"""The analyst: the one thread in which frames become windows, windows summaries, and both meet the rules.

It owns every camera's window, its drift judge and the alert engine, so none of them needs a lock. Others reach
it through its inbox only. The inbox is bounded: when analysis falls behind, results are let go and
counted, and the model never waits.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from agent.parts import Part
from agent.summary import STAGES, CameraSummary, CameraWindow, FrameCounts
from agent.types import CameraState, CameraStatus, FrameResult, Observation

log = structlog.get_logger("vedette.analysis")

TICK_SECONDS = 1.0
INBOX_SIZE = 512

OPENING_SECONDS = 10.0
"""The first window of a run: after so much people see figures. It is published and counted, but not judged."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """Where the analyst's results go; each is called in its thread and must not block."""

    counts: Callable[[str], FrameCounts]
    class_names: Callable[[], Sequence[str]]
    watch: Callable[[str], CameraWatch]
    on_summary: Callable[[CameraSummary], list[Observation]]
    on_status: Callable[[CameraStatus], None]
    on_tick: Callable[[list[Observation], float], None]
    on_window: Callable[[float, float], None]


@dataclass(slots=True, eq=False)
class _Camera:
    window: CameraWindow
    status: CameraStatus
    watch: CameraWatch


class Analyst(Part):
    """Gathers results per camera and window; `length` is a window's length in seconds."""

    def __init__(self, hooks: Hooks, length: float) -> None:
        super().__init__("analysis")
        self._hooks, self._length = hooks, length
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

    def status_changed(self, status: CameraStatus) -> None:
        """A camera changed state."""
        self._post(lambda: self._status(status))

    def forget(self, camera: str) -> None:
        """A camera was removed from the config; its open window is closed and published."""
        self._post(lambda: self._forget(camera))

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
        opened = ticked = time.monotonic()  # noqa: TID251  (the analyst is an edge: it hands time to pure code)
        while not stop.is_set():
            length = OPENING_SECONDS if self._opening else self._length
            left = opened + length - time.monotonic()  # noqa: TID251
            self._work(
                min(0.2, TICK_SECONDS, max(left, 0.001))
            )  # a window is closed when it is due, not after
            self.beat()
            now = time.monotonic()  # noqa: TID251
            if now - opened >= length:
                self._close_windows(now - opened, judged=not self._opening)
                opened, self._opening = now, False
            if now - ticked >= TICK_SECONDS:
                self._tick()
                ticked = now
        self._work(0.0)
        left = time.monotonic() - opened  # noqa: TID251
        seen = any(camera.window.inferred for camera in self._cameras.values())
        if seen or left >= min(1.0, self._length / 2):  # an empty sliver of a window would say nothing
            self._close_windows(left)
        self._tick()
        for camera in self._cameras.values():
            camera.watch.leave(time.time())  # noqa: TID251

    def _work(self, timeout: float) -> None:
        with self._wake:
            if not self._inbox and timeout:
                self._wake.wait(timeout)
            items, self._inbox = self._inbox, deque()
        for item in items:
            item()

    def _camera(self, name: str) -> _Camera:
        if name not in self._cameras:
            now = time.time()  # noqa: TID251
            self._cameras[name] = _Camera(
                window=CameraWindow(name, self._hooks.class_names(), now),
                status=CameraStatus(camera=name, state=CameraState.STARTING, since=now),
                watch=self._hooks.watch(name),
            )
        return self._cameras[name]

    def _result(self, result: FrameResult) -> None:
        camera = self._camera(result.frame.camera)
        camera.window.add(result)
        camera.watch.see(result)

    def _status(self, status: CameraStatus) -> None:
        self._camera(status.camera).status = status
        self._pending += state_observations(status, time.time())  # noqa: TID251
        self._hooks.on_status(status)

    def _forget(self, name: str) -> None:
        if name in self._cameras:
            now = time.time()  # noqa: TID251
            self._close(name, now, now - self._cameras[name].window.start)
            self._cameras[name].watch.leave(now)
            del self._cameras[name]

    def _close_windows(self, seconds: float, *, judged: bool = True) -> None:
        now = time.time()  # noqa: TID251
        for name in list(self._cameras):
            self._close(name, now, seconds, judged=judged)
        self._hooks.on_window(now - seconds, now)

    def _close(self, name: str, now: float, seconds: float, *, judged: bool = True) -> None:
        camera = self._cameras[name]
        summary = camera.window.close(now, seconds, self._hooks.counts(name), camera.status)
        if judged:
            fields, observations = camera.watch.close(summary, now)
        else:
            fields, observations = camera.watch.pass_over(summary), []
        whole = CameraSummary(
            camera=name,
            start=summary.start,
            end=now,
            body={**summary.body, **fields},
            sketches=summary.sketches,
        )
        told = [*summary_observations(whole), *observations, *self._hooks.on_summary(whole)]
        self._pending += told if judged else [replace(one, judged=False) for one in told]
        camera.window = CameraWindow(name, self._hooks.class_names(), now)

    def _tick(self) -> None:
        now = time.time()  # noqa: TID251
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
