"""Frames unlike all that the reference knows, window after window, are a drift, however little reference there is.

    off ── half of the frames and more, for HOLD windows ──▶ on ── less than a quarter, for HOLD windows ──▶ off

A short reference has no limits for distributions yet, but it knows the range of single frames.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.core.types import Observation
from agent.core.untrusted import take_integer, take_number
from agent.drift.sketch import LATEST
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

    def applied(
        self,
        camera: str,
        found: OutlierCount,
        fields: Mapping[str, object],
        observations: Sequence[Observation],
    ) -> tuple[dict[str, object], list[Observation]]:
        """The fields and observations of a window while this alarm is on: those of a drift."""
        if self.since is None or fields.get("drift_state") == "drift":
            return dict(fields), list(observations)
        by = ", ".join(name.replace("_", " ") for name in found.reasons)
        share = round(100 * found.outliers / found.frames)
        text = f"drift: {share} % of frames are unlike all that the reference knows" + (
            f" (by {by})" if by else ""
        )
        changed = [
            dataclasses.replace(
                each,
                value=max(each.value, 1.0),
                text=f"{text}; {each.text}",
                advice=command_to_accept(camera, self.since),
                evidence={**each.evidence, "outlying_ratio": share / 100, "by": list(found.reasons)},
            )
            if each.metric == "drift.ratio"
            else each
            for each in observations
        ]
        return {**fields, "drift_state": "drift", "drift_since": self.since, "drift_reason": text}, changed

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
        self.alarm = OutlierAlarm()
        self.fields: dict[str, object] = {}
        """What the last window's frames showed, for the summary."""

    def add(
        self, window: SampledWindow, now: float, fields: dict[str, object], observations: list[Observation],
        *, judged: bool,
    ) -> tuple[dict[str, object], list[Observation]]:  # fmt: skip
        """The fields and observations of a window with what its frames show; `judged`: whether it could be."""
        if self._limits is None or not window.frames:
            return fields, observations
        found = self._limits.count(window.frames)
        self.fields = outlier_fields(found)
        if judged:
            self.alarm.step(found, window.sketch.end)
            fields, observations = self.alarm.applied(self._camera, found, fields, observations)
        return {**fields, **self.fields}, [*observations, outlier_observation(found, self._camera, now)]
