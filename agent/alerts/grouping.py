"""Inhibition and grouping: one alert per target and cause, and none about what a fault upstream explains."""

from __future__ import annotations

from collections.abc import Mapping

from agent.alerts.rules import Rule
from agent.core.types import CameraState, Labels, Severity

RANK = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}

_NO_PICTURES = frozenset({"speed", "drift", "scene"})
_BAD_PICTURES = frozenset({"drift", "scene"})

# What a camera in a state cannot be blamed for besides: a camera that is down does not drift.
INHIBITED: Mapping[CameraState, frozenset[str]] = {
    CameraState.STARTING: _NO_PICTURES,
    CameraState.DOWN: _NO_PICTURES,
    CameraState.ENDED: _NO_PICTURES,
    CameraState.FROZEN: _NO_PICTURES,
    CameraState.BLACK: _NO_PICTURES,
    CameraState.COVERED: _NO_PICTURES,
    CameraState.BLURRED: _BAD_PICTURES,
    CameraState.OVEREXPOSED: _BAD_PICTURES,
    CameraState.MOVED: _BAD_PICTURES,
    CameraState.RESIZED: _BAD_PICTURES,
    CameraState.SLOW: frozenset({"speed"}),
}

GroupKey = tuple[str, tuple[tuple[str, str], ...]]


def group_of(rule: Rule, labels: Labels) -> GroupKey:
    """What an alert of `rule` on a target is grouped by: its cause and its camera (or whole target)."""
    subject = {"camera": labels["camera"]} if "camera" in labels else labels
    return rule.group, tuple(sorted(subject.items()))


class CameraFaults:
    """Which cameras are in which state, and was until lately: the last window of a fault comes late."""

    def __init__(self, linger_seconds: float) -> None:
        self._linger = linger_seconds
        self._seen: dict[str, dict[CameraState, float]] = {}

    def see(self, metric: str, labels: Labels, value: float, at: float) -> None:
        """Take note of an observation, if it is one of a camera's state."""
        state = _STATE_METRICS.get(metric)
        if state is not None and value > 0 and "camera" in labels:
            self._seen.setdefault(labels["camera"], {})[state] = at

    def inhibiting(self, rule: Rule, labels: Labels, now: float) -> CameraState | None:
        """The fault that explains an alert of `rule` on a target, if any."""
        seen = self._seen.get(labels.get("camera", ""), {})
        fresh = (state for state, at in seen.items() if now - at <= self._linger)
        return next((state for state in fresh if rule.metric.cause in INHIBITED[state]), None)

    def forget(self, camera: str) -> None:
        """The camera is gone."""
        self._seen.pop(camera, None)

    def shift(self, seconds: float) -> None:
        """The clock was set forward."""
        self._seen = {
            camera: {state: at + seconds for state, at in seen.items()} for camera, seen in self._seen.items()
        }


_STATE_METRICS = {f"camera.{state.value}": state for state in INHIBITED}
