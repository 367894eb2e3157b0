"""The step of the wall clock during a window, whose hour of the day is then unknown."""

from __future__ import annotations

from agent.core import clock

CLOCK_STEP_SECONDS = 5.0
"""A window in which the wall clock was set by more is not judged."""


class ClockStep:
    """Compares the clock's offset with that at the end of the window before."""

    def __init__(self) -> None:
        self._offset = clock.offset()

    def take(self) -> float:
        """By how many seconds the wall clock was set since the last call; 0 if it was not."""
        before, self._offset = self._offset, clock.offset()
        step = self._offset - before
        return step if abs(step) > CLOCK_STEP_SECONDS else 0.0
