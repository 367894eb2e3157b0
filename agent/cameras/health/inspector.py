"""Judges a camera's health from frame to frame: samples the content of some, times all."""

from __future__ import annotations

from agent.cameras.health.features import small_image
from agent.cameras.health.judge import SAMPLE_SECONDS, WELL, HealthState, HealthVerdict, observe, reopened
from agent.cameras.health.ticking import TickFinder
from agent.cameras.health.timing import FrameTiming
from agent.core.polygon import Polygon
from agent.core.types import CameraState, Frame


class Inspector:
    """Carries the health of one camera; used by the thread that reads it.

    `by_media` judges by the source's own time: a file read as fast as possible shows a minute in a second. `ticking`
    are the areas that change every second, as a burnt-in clock does, once they are found.
    """

    def __init__(self, *, by_media: bool) -> None:
        self._by_media = by_media
        self._health = HealthState()
        self._ignored: tuple[Polygon, ...] = ()
        self._ticks = TickFinder()
        self.ticking: tuple[Polygon, ...] = ()
        self._timing = FrameTiming()
        self._sampled_at: float | None = None
        self.verdict: HealthVerdict = WELL

    def reopened(self) -> None:
        """A new connection: faults are judged anew."""
        self._health = reopened(self._health)
        self._timing.reopened()
        self._sampled_at, self.verdict = None, WELL

    def due(self, now: float) -> bool:
        """Whether the content of a frame of `now` is looked at."""
        return self._sampled_at is None or not 0.0 <= now - self._sampled_at < SAMPLE_SECONDS

    def inspect(self, frame: Frame) -> HealthVerdict:
        """What the camera's state is with this frame; one without image counts for its timing alone."""
        if frame.scope.ignored != self._ignored:  # what is normal was learnt of other areas
            self._ignored, self._health = frame.scope.ignored, HealthState()
            self._ticks, self.ticking = TickFinder(), ()
        now = frame.monotonic_ns / 1e9
        if self._by_media and frame.media_seconds is not None:
            now = frame.media_seconds
        self._timing.tick(now, frame.media_seconds)
        if frame.image.size and self.due(now):
            self._sampled_at = now
            sample = small_image(frame.image, frame.scope)
            self.ticking = self._ticks.add(sample, now) or self.ticking
            self._health, self.verdict = observe(self._health, sample, now, self._timing.pace(now))
            if CameraState.SLOW in self.verdict.accepted:
                self._timing.relearn_rate()
            if CameraState.BAD_TIMESTAMPS in self.verdict.accepted:
                self._timing.ignore_stamps()
        return self.verdict
