"""What delivery reads of the machine: wall time for stamps, time since boot for ages, whether the wall clock is set,
and what the disk was asked to write.
"""

from __future__ import annotations

from pathlib import Path

from agent.core import clock

STEP_SECONDS = 60.0  # a clock that is set by less makes no certificate valid


class Clock:
    """The clocks delivery goes by; tests hand in their own."""

    def wall(self) -> float:
        """Unix time of this moment, for stamps; may jump."""
        return clock.unix_now()

    def steady(self) -> float:
        """Steady time: goes on over restarts and never jumps."""
        return clock.now()

    def boottime(self) -> float:
        """Seconds since the machine booted, sleep included; the same in all processes, and never jumps."""
        return clock.boottime()

    def synced(self) -> bool:
        """Whether the wall clock is synchronised."""
        return clock.synced()


class WallClockWatch:
    """Notices when the wall clock was set: what waits for the right time goes on then."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._before = self._read()

    def was_set(self) -> bool:
        """Whether the clock was synchronised or stepped since the last call."""
        before, self._before = self._before, self._read()
        synced, ahead = self._before
        return (synced and not before[0]) or abs(ahead - before[1]) > STEP_SECONDS

    def _read(self) -> tuple[bool, float]:
        return self._clock.synced(), self._clock.wall() - self._clock.boottime()


def written_bytes() -> int:
    """What the calling thread had written to storage so far; 0 where the kernel does not count it."""
    try:
        lines = Path("/proc/thread-self/io").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("write_bytes:")), 0)
