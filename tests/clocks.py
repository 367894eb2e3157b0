"""A machine whose clocks a test sets, suspends and reboots; nothing here touches the real ones."""

from __future__ import annotations

from agent.core.clock import SteadyClock


class Machine:
    """`true` is the Unix time that only the test knows; `error` is by how much the wall clock is off."""

    def __init__(self, true=1_790_000_000.0, up=100.0, error=0.0, synced=True):
        self.true, self.up, self.error, self.is_synced = true, up, error, synced
        self.awake = up  # the monotonic clock: sleep does not count
        self.boots = 1

    def wall(self):
        return self.true + self.error

    def boottime(self):
        return self.up

    def monotonic(self):
        return self.awake

    def synced(self):
        return self.is_synced

    def clock(self):
        """A process that starts now: its steady clock."""
        return SteadyClock(
            wall=self.wall, boottime=self.boottime, synced=self.synced, boot=f"boot{self.boots:04d}"
        )

    def run(self, seconds):
        self.true, self.up, self.awake = self.true + seconds, self.up + seconds, self.awake + seconds

    def sleep(self, seconds):
        self.true, self.up = self.true + seconds, self.up + seconds

    def step(self, seconds):
        """Set the wall clock forward (or back)."""
        self.error += seconds

    def sync(self):
        """NTP answers: the wall clock is right."""
        self.error, self.is_synced = 0.0, True

    def reboot(self, off, *, rtc):
        """Off for `off` seconds; without `rtc` the wall clock begins in 1970."""
        self.true, self.up, self.awake, self.boots = self.true + off, 5.0, 5.0, self.boots + 1
        if not rtc:
            self.error, self.is_synced = 60.0 - self.true, False

    def install(self, monkeypatch, steady=None):
        """Have the whole agent read these clocks; returns the steady clock."""
        from agent.core import clock

        steady = steady or self.clock()
        monkeypatch.setattr(clock, "shared", steady)
        for name in ("wall", "boottime", "monotonic"):
            monkeypatch.setattr(clock, name, getattr(self, name))
        return steady
