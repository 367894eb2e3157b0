"""The one place that reads the machine's clocks: pure rooms are given the time, and so cannot import this.

Every wait and every timeout counts `monotonic` seconds; `wall` is for time stamps only, since it may be set back or
forth at any moment.
"""

from __future__ import annotations

import time


def wall() -> float:
    """Unix time in seconds; may jump."""
    return time.time()


def utc_offset(moment: float) -> float:
    """Seconds by which this machine's local time is ahead of UTC at a Unix time."""
    return float(time.localtime(moment).tm_gmtoff)


def monotonic() -> float:
    """Seconds since some moment of the past; never jumps, stands still while the machine sleeps."""
    return time.monotonic()


def monotonic_ns() -> int:
    """`monotonic`, in nanoseconds."""
    return time.monotonic_ns()


def boottime() -> float:
    """Seconds since the machine booted, sleep included; the same in all processes, and never jumps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
