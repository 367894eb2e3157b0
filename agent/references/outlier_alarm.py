"""Frames unlike all that the reference knows, window after window, are a drift, however little reference there is.

    off ── half of the frames and more, for HOLD windows ──▶ on ── less than a quarter, for HOLD windows ──▶ off

A short reference has no limits for distributions yet, but it knows the range of single frames.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.core.types import Observation
from agent.core.untrusted import take_integer, take_number
from agent.drift.sketch import LATEST
from agent.drift.verdict import DriftVerdict
from agent.references.outliers import OutlierCount, OutlierLimits
from agent.references.sampling import SampledWindow
from agent.references.stored import StoredReference
from agent.references.wording import command_to_accept, outlier_fields, outlier_observation

HOLD = 3
_ON, _OFF = 0.5, 0.25


@dataclass(slots=True)
class OutlierAlarm:
    """The state: `since` (Unix time) is None while off; `run` counts windows that ask for the other state."""

    since: float | None = None
    run: int = 0

    def step(self, found: OutlierCount, end: float) -> None:
        """One more window that was judged, which ended at `end`."""
        share = found.outliers / found.frames
        self.run = self.run + 1 if (share >= _ON if self.since is None else share < _OFF) else 0
        if self.run >= HOLD:
            self.since, self.run = (end if self.since is None else None), 0

    def state(self) -> dict[str, Any]:
        """As JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> OutlierAlarm:
        """What `state` gave; BadInput for anything else."""
        return cls(
            take_number(state, "since", None, minimum=0.0, maximum=LATEST),
            take_integer(state, "run", 0, minimum=0, maximum=HOLD),
        )


class FrameMonitor:
    """The single frames of one camera against the reference in force, and their alarm. One thread's own."""

    def __init__(self, camera: str, stored: StoredReference | None = None) -> None:
        self._camera, self._limits = camera, OutlierLimits(stored) if stored else None
        self._found: OutlierCount | None = None
        self.alarm = OutlierAlarm()

    @property
    def fields(self) -> dict[str, object]:
        """What the last window's frames showed, for the summary."""
        return {} if self._found is None else outlier_fields(self._found)

    def add(
        self, window: SampledWindow, now: float, observations: list[Observation], verdict: DriftVerdict | None
    ) -> list[Observation]:
        """One more window, and its observations by `verdict` (None: it was not judged) with what its frames show."""
        if self._limits is None or not window.frames:
            return observations
        found = self._found = self._limits.count(window.frames)
        if verdict is not None and verdict.judged:
            self.alarm.step(found, window.sketch.end)
            if self.alarm.since is not None and not verdict.alarm:
                observations = [self._drifted(each, found, self.alarm.since) for each in observations]
        return [*observations, outlier_observation(found, self._camera, now)]

    def drift_fields(self, fields: Mapping[str, object]) -> dict[str, object]:
        """The fields of the drift state, `fields` by the judge's verdict: those of a drift while the alarm is on."""
        if self.alarm.since is None or fields.get("drift_state") == "drift":
            return dict(fields)
        since = {"drift_since": self.alarm.since}
        return {**fields, **since, "drift_state": "drift", "drift_reason": self._reason()}

    def _drifted(self, one: Observation, found: OutlierCount, since: float) -> Observation:
        if one.metric != "drift.ratio":
            return one
        share = _percent(found) / 100
        return dataclasses.replace(
            one,
            value=max(one.value, 1.0),
            text=f"{self._reason()}; {one.text}",
            advice=command_to_accept(self._camera, since),
            evidence={**one.evidence, "outlying_ratio": share, "by": list(found.reasons)},
        )

    def _reason(self) -> str:
        if self._found is None:  # since a restart
            return "drift: frames are unlike all that the reference knows"
        by = ", ".join(name.replace("_", " ") for name in self._found.reasons)
        share = f"drift: {_percent(self._found)} % of frames are unlike all that the reference knows"
        return f"{share} (by {by})" if by else share


def _percent(found: OutlierCount) -> int:
    return round(100 * found.outliers / found.frames)
