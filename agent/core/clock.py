"""The one place that reads the machine's clocks, and the agent's own time, which never jumps.

Laws
----
1. `now` is *steady time*: it passes at the pace of the boot-time clock, sleep included, and is neither set back nor
   forth. It looks like Unix time, since it began as that when the agent first ran. All durations are differences of
   it: pure rooms are given it, cannot import this module, and so cannot measure with a clock that is set.
2. Steady time goes on over restarts: within a boot exactly; over a reboot by the wall clock where that was
   synchronised on both sides, else from where it was. `settle` returns the time off once it becomes known later.
3. Wall time only labels: `unix(at)` is the Unix time of a steady time by what the wall clock knows now. So two
   labels made together are as far apart as the moments they label, whatever the wall clock did between.
4. `monotonic` (stands still while the machine sleeps) is for timeouts of what runs in this process.
"""

from __future__ import annotations

import ctypes
import math
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SLACK_SECONDS = 0.1  # the clocks are read one after the other; a smaller difference is no clock that was set
ASK_SECONDS = 1.0  # how often the kernel is asked whether the wall clock is synchronised
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_ROOM_FOR_TIMEX = 512  # more than any architecture's struct timex; all zero means "only read"


def wall() -> float:
    """Unix time in seconds; may jump. For labels of commands that run beside the agent."""
    return time.time()


def utc_offset(moment: float) -> float:
    """Seconds by which this machine's local time is ahead of UTC at a Unix time, in the zone that is set now."""
    time.tzset()  # a few microseconds; else a process keeps the zone that it started in
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


def kernel_synced() -> bool:
    """Whether the kernel holds the wall clock for synchronised (NTP, PTP); True where it cannot be asked."""
    try:
        adjtimex = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return True
    return int(adjtimex(ctypes.create_string_buffer(_ROOM_FOR_TIMEX))) != _TIME_ERROR


def boot_id(root: Path = Path("/")) -> str:
    """A piece of the kernel's boot id: every start of the box has its own."""
    try:
        return (root / "proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:
        return uuid.uuid4().hex[:8]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockState:
    """What of steady time must survive a restart.

    `now` and `offset` (Unix time minus steady time) were read together, in the boot `boot`, in which steady time is
    `anchor` + boot time. `synced` is whether the wall clock was synchronised then.
    """

    boot: str
    anchor: float
    now: float
    offset: float
    synced: bool


class SteadyClock:
    """Steady time over the clocks given; tests hand in their own. May be read from any thread."""

    def __init__(
        self,
        *,
        wall: Callable[[], float],
        boottime: Callable[[], float],
        synced: Callable[[], bool],
        boot: str,
    ) -> None:
        self._wall, self._boottime, self._ask, self.boot = wall, boottime, synced, boot
        self._anchor = wall() - boottime()
        self._offset = 0.0
        self._unsettled: float | None = None
        self._synced, self._asked_at = True, -ASK_SECONDS

    def now(self) -> float:
        """Steady time in seconds."""
        return self._boottime() + self._anchor

    def offset(self) -> float:
        """What makes a steady time Unix time, in seconds; the same until the wall clock is set (or has drifted)."""
        offset = self._wall() - self.now()
        if abs(offset - self._offset) > SLACK_SECONDS:
            self._offset = offset
        return self._offset

    def synced(self) -> bool:
        """Whether the wall clock is synchronised."""
        now = self._boottime()
        if now - self._asked_at >= ASK_SECONDS:
            self._asked_at, self._synced = now, self._ask()
        return self._synced

    def state(self) -> ClockState:
        """What `resume` goes on from."""
        now, synced, offset = self.now(), self.synced(), self.offset()
        if self._unsettled is not None:  # this boot's wall time is not known yet: keep the last that was
            synced, offset = True, self._unsettled
        return ClockState(boot=self.boot, anchor=self._anchor, now=now, offset=offset, synced=synced)

    def resume(self, state: ClockState) -> None:
        """Go on from the state of the last run (law 2)."""
        if state.boot == self.boot:
            self._anchor = state.anchor
        elif state.synced and self.synced():
            off = self._wall() - (state.now + state.offset)
            self._anchor = state.now + max(off, 0.0) - self._boottime()
        else:
            self._anchor = state.now  # since then this boot's time has passed, and nobody knows what more
            self._unsettled = state.offset if state.synced else None
        self.offset()

    def latest_unix(self) -> float:
        """The Unix time of this moment, or, where that is later, of the last run and what has passed since.

        After a reboot without a real-time clock the wall clock says 1970, or whatever the disk says, until it is set.
        """
        now = self.now()
        return now + max(self.offset(), -math.inf if self._unsettled is None else self._unsettled)

    def settle(self) -> float:
        """Seconds that the box was off and steady time does not count, once, when that becomes known; else 0."""
        if self._unsettled is None or not self.synced():
            return 0.0
        missing, self._unsettled = self.offset() - self._unsettled, None
        return max(missing, 0.0)


shared = SteadyClock(wall=wall, boottime=boottime, synced=kernel_synced, boot=boot_id())
"""The agent's."""


def now() -> float:
    """Steady time in seconds: what every duration is a difference of."""
    return shared.now()


def offset() -> float:
    """What makes a steady time Unix time, in seconds."""
    return shared.offset()


def unix(at: float) -> float:
    """The Unix time of the steady time `at`, by what the wall clock knows now: a label."""
    return at + shared.offset()


def unix_now() -> float:
    """The Unix time of this moment: a label."""
    return unix(shared.now())


def latest_unix() -> float:
    """The same, or, where that is later, the last run's and what has passed since: for what expires."""
    return shared.latest_unix()


def local_offset() -> float:
    """What makes a steady time the local time of this box, in seconds: for schedules."""
    return shared.offset() + utc_offset(wall())


def synced() -> bool:
    """Whether the wall clock is synchronised."""
    return shared.synced()


def settle() -> float:
    """Seconds off that steady time does not count, once, when they become known; else 0."""
    return shared.settle()


def state_from_json(entry: Mapping[str, Any]) -> ClockState:
    """The state that was stored as JSON; raises KeyError, TypeError or ValueError if it is none."""
    numbers = {name: float(entry[name]) for name in ("anchor", "now", "offset")}
    if not all(abs(number) < 1e12 for number in numbers.values()):
        raise ValueError("no moment of this age")
    return ClockState(boot=str(entry["boot"]), synced=bool(entry["synced"]), **numbers)
