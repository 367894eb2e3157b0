"""A camera's health from frame to frame: glances at some of them, times all of them."""

from __future__ import annotations

from agent.cameras.health.features import glance
from agent.cameras.health.judge import GLANCE_SECONDS, WELL, HealthState, HealthVerdict, observe, reopened
from agent.cameras.health.timing import FrameTiming
from agent.core.types import CameraState, Frame


class Inspector:
    """Carries the health of one camera; used by the thread that reads it.

    `by_media` judges by the source's own time: a file read as fast as possible shows a minute in a second.
    """

    def __init__(self, *, by_media: bool) -> None:
        self._by_media = by_media
        self._health = HealthState()
        self._timing = FrameTiming()
        self._glanced: float | None = None
        self.verdict: HealthVerdict = WELL

    def reopened(self) -> None:
        """A new connection: faults are judged anew."""
        self._health = reopened(self._health)
        self._timing.reopened()
        self._glanced, self.verdict = None, WELL

    def inspect(self, frame: Frame) -> HealthVerdict:
        """What the camera's state is with this frame."""
        now = frame.monotonic_ns / 1e9
        if self._by_media and frame.media_seconds is not None:
            now = frame.media_seconds
        self._timing.tick(now, frame.media_seconds)
        if self._glanced is None or not 0.0 <= now - self._glanced < GLANCE_SECONDS:
            self._glanced = now
            self._health, self.verdict = observe(
                self._health, glance(frame.image), now, self._timing.pace(now)
            )
            if CameraState.SLOW in self.verdict.accepted:
                self._timing.forget_rate()
            if CameraState.BAD_TIMESTAMPS in self.verdict.accepted:
                self._timing.forget_stamps()
        return self.verdict
