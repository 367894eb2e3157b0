from __future__ import annotations

import pytest

from agent.alerts.engine import AlertEngine
from agent.alerts.rules import compile_rules
from agent.config.alert_settings import AlertSettings, RuleSettings
from agent.core.types import Observation


class EngineDriver:
    """An engine with a clock of its own, for tests: `observe` observes, `go` lets time pass second by second."""

    def __init__(self, *rules: RuleSettings, defaults: bool = False, window: float = 60.0) -> None:
        self.rules = compile_rules(rules, AlertSettings(default_rules=defaults))
        self.engine = AlertEngine(self.rules, window_seconds=window)
        self.now = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC
        self.published = []

    def observe(self, metric, value, labels=None, **more):
        labels = {"camera": "front"} if labels is None else labels
        observation = Observation(metric=metric, value=float(value), at=self.now, labels=labels, **more)
        return self.step(observation)

    def step(self, *observations, **keywords):
        alerts = self.engine.step(observations, self.now, **keywords)
        self.published += alerts
        return alerts

    def go(self, seconds, every=1.0, *observations):
        """Let time pass; `observations` are (metric, value) of camera front, made at each step."""
        alerts, end = [], self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + every)
            alerts += self.step(
                *(Observation(metric=metric, value=float(value), at=self.now, labels={"camera": "front"})
                  for metric, value in observations)
            )  # fmt: skip
        return alerts

    def events(self):
        return [(alert.rule, alert.event.value) for alert in self.published]


@pytest.fixture(scope="session")
def drive():
    return EngineDriver
