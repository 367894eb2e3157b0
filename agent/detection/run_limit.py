"""How long the first run of a shape may take, by the processor time it got: a busy box is no graph that never ends."""

from __future__ import annotations

import time

from agent.core import clock

FIRST_SECONDS = 60.0
"""Of processor time, and at least as long by the clock."""

STUCK_TIMES = 10.0
"""Times FIRST_SECONDS by the clock, after which a run ends that takes no processor time: it waits for something."""

LOOK_SECONDS = 0.5


class RunLimit:
    """The limit of one run, which begins now; time of all threads of this process counts."""

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = FIRST_SECONDS if seconds is None else seconds
        self._began, self._used = clock.monotonic(), time.process_time()

    @property
    def over(self) -> bool:
        """Whether the run has had its time."""
        passed, used = clock.monotonic() - self._began, time.process_time() - self._used
        return min(passed, used) >= self.seconds or passed >= STUCK_TIMES * self.seconds
