"""The drift alarm by outliers: most frames unlike the reference for several windows.

    off ── half of the frames and more, for HOLD windows ──▶ on ── less than a quarter, for HOLD windows ──▶ off

A short reference has no limits for distributions yet, but it knows the range of single frames.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.core.untrusted import take_integer, take_number
from agent.drift.sketch import LATEST
from agent.drift.verdict import DriftVerdict, OutlierCount
from agent.references.outliers import OutlierLimits
from agent.references.sampling import SampledWindow
from agent.references.stored import StoredReference

HOLD = 3
_ON, _OFF = 0.5, 0.25


@dataclass(slots=True)
class OutlierAlarm:
    """The state: `since` (Unix time) is None while off; `run` counts windows that ask for the other state.

    One drift is one alarm, whichever of both alarms goes on first and off last: `first` is when the drift began.
    """

    since: float | None = None
    run: int = 0
    first: float | None = None

    def step(self, found: OutlierCount, end: float) -> None:
        """One more window that was judged, which ended at `end`."""
        share = found.outliers / found.frames
        self.run = self.run + 1 if (share >= _ON if self.since is None else share < _OFF) else 0
        if self.run >= HOLD:
            self.since, self.run = (end if self.since is None else None), 0

    def drift_since(self, by_judge: float | None) -> float | None:
        """When the drift began, with the judge's alarm on since `by_judge`; None where neither alarm is on."""
        on = [since for since in (self.since, by_judge) if since is not None]
        began = on if self.first is None else [*on, self.first]
        self.first = min(began) if on else None
        return self.first

    def state(self) -> dict[str, Any]:
        """As JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> OutlierAlarm:
        """What `state` gave; BadInput for anything else."""
        return cls(
            take_number(state, "since", None, minimum=0.0, maximum=LATEST),
            take_integer(state, "run", 0, minimum=0, maximum=HOLD),
            take_number(state, "first", None, minimum=0.0, maximum=LATEST),
        )


class FrameMonitor:
    """The single frames of one camera against the reference in force. One thread's own."""

    def __init__(self, stored: StoredReference | None = None) -> None:
        self._limits = OutlierLimits(stored) if stored else None
        self.found: OutlierCount | None = None
        """What the last window's frames showed; None where it had none."""
        self.alarm = OutlierAlarm()

    def add(self, window: SampledWindow, verdict: DriftVerdict) -> DriftVerdict:
        """One more window: the judge's verdict on it, with the alarm of either."""
        self.found = self._limits.count(window.frames) if self._limits and window.frames else None
        if self.found is not None and verdict.judged:
            self.alarm.step(self.found, window.sketch.end)
        since = self.alarm.drift_since(verdict.alarm_since)
        alone, until = self.found if self.alarm.since is not None and not verdict.alarm else None, None
        if self.alarm.since is not None:
            until = self.alarm.since - (HOLD + 1) * (window.sketch.end - window.sketch.start)
        begins = [each for each in (until, verdict.normal_until) if each is not None]
        return dataclasses.replace(
            verdict,
            alarm=since is not None,
            alarm_since=since,
            outliers=alone,
            normal_until=min(begins, default=None),
        )
