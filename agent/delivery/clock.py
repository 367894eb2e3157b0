"""What delivery reads of the machine: wall time for stamps, time since boot for ages, whether the wall clock is set,
and what the disk was asked to write.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

from agent.core import clock

_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_ROOM_FOR_TIMEX = 512  # more than any architecture's struct timex; all zero means "only read"
_TRUST_SECONDS = 60.0


class Clock:
    """The clocks delivery goes by; tests hand in their own."""

    def __init__(self) -> None:
        self._synced = True
        self._asked_at = -_TRUST_SECONDS

    def wall(self) -> float:
        """Unix time; may jump."""
        return clock.wall()

    def boottime(self) -> float:
        """Seconds since the machine booted, sleep included; the same in all processes, and never jumps."""
        return clock.boottime()

    def synced(self) -> bool:
        """Whether the kernel holds the wall clock for synchronised; asked once a minute."""
        now = self.boottime()
        if now - self._asked_at >= _TRUST_SECONDS:
            self._asked_at, self._synced = now, _kernel_says_synced()
        return self._synced


def _kernel_says_synced() -> bool:
    try:
        adjtimex = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return True
    return int(adjtimex(ctypes.create_string_buffer(_ROOM_FOR_TIMEX))) != _TIME_ERROR


def written_bytes() -> int:
    """What the calling thread had written to storage so far; 0 where the kernel does not count it."""
    try:
        lines = Path("/proc/thread-self/io").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("write_bytes:")), 0)
