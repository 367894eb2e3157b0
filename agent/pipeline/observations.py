"""Observations of a camera for the rules: its state and the numbers of its windows. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from agent.alerts.slo import LatencyTarget, share_observations
from agent.core.metrics.payload_fields import MOMENT
from agent.core.metrics.payloads import fields_of
from agent.core.stages import STAGES
from agent.core.types import CameraState, CameraStatus, Observation
from agent.pipeline.analyst import ClosedWindow
from agent.pipeline.camera_window import CameraSummary

_MOMENTS = frozenset(field.name for field in fields_of("camera") if field.unit == MOMENT)
"""Fields that are times: nothing that a rule could judge, and rounded to six figures nothing worth keeping."""


def state_observations(status: CameraStatus, at: float) -> list[Observation]:
    """A camera's state as 0/1 numbers: `camera.down`, `camera.frozen`, ..."""
    labels = {"camera": status.camera}
    return [
        Observation(
            metric=f"camera.{state.value}",
            value=float(state is status.state),
            at=at,
            labels=labels,
            text=status.reason if state is status.state else "",
        )
        for state in CameraState
    ]


def window_observations(window: ClosedWindow, targets: Iterable[LatencyTarget]) -> list[Observation]:
    """All of a closed window: its summary's numbers, the monitor's, and the share of frames over each target."""
    summary = window.summary
    observed = [
        *summary_observations(summary),
        *window.observations,
        *share_observations(targets, summary.camera, summary.sketches, summary.end),
    ]
    return observed if window.judged else [dataclasses.replace(one, judged=False) for one in observed]


def summary_observations(summary: CameraSummary) -> list[Observation]:
    """Every number of a summary but moments as `camera.<field>`; a latency has its stages' times as evidence."""
    labels = {"camera": summary.camera}
    return [
        Observation(
            metric=f"camera.{key}",
            value=float(value),
            at=summary.end,
            labels=labels,
            evidence=_stages(key, summary.body) if key.startswith("latency_") else {},
        )
        for key, value in summary.body.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and key not in _MOMENTS
    ]


def _stages(key: str, body: Mapping[str, object]) -> dict[str, object]:
    """How the time of `latency_p99_seconds` was spent: the same quantile of each stage."""
    of_stage = {f"{stage}_{key.removeprefix('latency_')}" for stage in STAGES}
    return {name: body[name] for name in body if name in of_stage}
