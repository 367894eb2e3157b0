"""Inhibition and grouping: one alert per target and cause, and none about what a fault upstream explains."""

from __future__ import annotations

from agent.alerts.rules import Rule
from agent.core.camera_states import STATES
from agent.core.types import CameraState, Labels, Severity

RANK = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}

GroupKey = tuple[str, tuple[tuple[str, str], ...]]


def group_of(rule: Rule, labels: Labels) -> GroupKey:
    """What an alert of `rule` on a target is grouped by: its cause and its camera (or whole target)."""
    subject = {"camera": labels["camera"]} if "camera" in labels else labels
    return rule.group, tuple(sorted(subject.items()))


class CameraFaults:
    """The states that cameras are in, or were within `linger_seconds`: the last window of a fault comes late."""

    def __init__(self, linger_seconds: float) -> None:
        self._linger = linger_seconds
        self._states: dict[str, dict[CameraState, float]] = {}

    def observe(self, metric: str, labels: Labels, value: float, at: float) -> None:
        """Process an observation, if it is one of a camera's state."""
        state = _STATE_METRICS.get(metric)
        if state is not None and value > 0 and "camera" in labels:
            self._states.setdefault(labels["camera"], {})[state] = at

    def inhibiting(self, rule: Rule, labels: Labels, now: float) -> CameraState | None:
        """The fault that explains an alert of `rule` on a target; None if there is none."""
        states = self._states.get(labels.get("camera", ""), {})
        fresh = (state for state, at in states.items() if now - at <= self._linger)
        return next((state for state in fresh if rule.metric.cause in STATES[state].inhibits), None)

    def remove(self, camera: str) -> None:
        """Discard what is known of `camera`."""
        self._states.pop(camera, None)

    def sleep(self, seconds: float) -> None:
        """The box slept for `seconds`: no state became older by that."""
        self._states = {
            camera: {state: at + seconds for state, at in states.items()}
            for camera, states in self._states.items()
        }


_STATE_METRICS = {f"camera.{state.value}": state for state, meaning in STATES.items() if meaning.inhibits}
