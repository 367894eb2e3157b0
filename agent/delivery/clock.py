"""What delivery reads of the machine: wall time for stamps, time since boot for ages, whether the wall clock is set,
and what the disk was asked to write.
"""

from __future__ import annotations

from pathlib import Path

from agent.core import clock


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


def written_bytes() -> int:
    """What the calling thread had written to storage so far; 0 where the kernel does not count it."""
    try:
        lines = Path("/proc/thread-self/io").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("write_bytes:")), 0)
