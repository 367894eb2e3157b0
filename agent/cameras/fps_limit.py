"""Chooses which frames of a camera are taken, by `max_fps`."""

from __future__ import annotations


class FpsLimiter:
    """Chooses frames so that no more than `max_fps` a second are taken, evenly; 0 takes all."""

    def __init__(self, max_fps: float) -> None:
        self._period = 1.0 / max_fps if max_fps > 0 else 0.0
        self._due: float | None = None

    def is_due(self, now: float) -> bool:
        """Whether the frame of `now` (seconds) would be taken."""
        # Frames come a little early or late; half a millisecond early is not worth a frame's period.
        return self._due is None or self._leapt(self._due, now) or now >= self._due - 0.0005

    def take(self, now: float) -> bool:
        """Whether to take the frame of `now` (seconds)."""
        if self._period == 0.0:
            return True
        if not self.is_due(now):
            return False
        begun = now if self._due is None or self._leapt(self._due, now) else self._due
        self._due = begun + self._period
        return True

    def _leapt(self, due: float, now: float) -> bool:
        """Whether the clock leapt: the limit begins anew."""
        return not -2.0 * self._period < now - due < 2.0 * self._period
