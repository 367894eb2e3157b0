"""Anomaly: how unusual a value is for the hour of day, as a robust z-score (`hourly_memory`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agent.alerts.evaluators import Finding, RuleEvaluator, RuleFunction, RuleSeries, RuleValue, Target
from agent.alerts.hourly_memory import Baseline
from agent.core.types import Observation


@dataclass(frozen=True, slots=True)
class Anomaly(RuleFunction):
    """The distance from what is usual, to either side, in sigmas."""

    name = "anomaly"
    syntax = "anomaly(METRIC) > SIGMAS"
    help = "sigmas from the median of the same hour of the last 14 days"
    uses_history = True
    evidence_in_sentence = frozenset({"usual_median", "usual_hour"})

    def distance(self, z: float) -> float:
        """How far a z-score lies to the side that this function looks at."""
        return abs(z)

    def normal(self, low: str, high: str) -> str:
        """The range that is not alarming."""
        return f"{low} to {high}"

    def evaluator(self, series: RuleSeries) -> RuleEvaluator:
        """An evaluator over the history of the metric, which the rules on it share."""
        return _AnomalyEvaluator(series, self.distance)

    def sentences(self, finding: Finding) -> tuple[str, str]:
        """How unusual the value is, and what is usual."""
        usual, value = finding.evaluation.details, finding.evaluation.latest.value
        side = "high" if value >= usual.median else "low"
        low = finding.quantity(usual.median - finding.limit * usual.scale_below)
        high = finding.quantity(usual.median + finding.limit * usual.scale_above)
        median = finding.quantity(usual.median)
        return (
            f"{finding.subject}: {finding.metric.words} {finding.quantity(value)}, unusually {side} "
            f"({_sigmas(usual.z(value))})",
            f"{self.normal(low, high)}; it was {median} (median) {_compared_with(usual)}",
        )

    def evidence(self, evaluation: RuleValue) -> dict[str, Any]:
        """What the value was compared with."""
        usual = evaluation.details
        return {"usual_median": usual.median, "usual_samples": usual.samples, "usual_hour": usual.hour}


class AnomalyHigh(Anomaly):
    """The distance above what is usual, in sigmas."""

    name = "anomaly_high"
    syntax = "anomaly_high(METRIC) > SIGMAS"
    help = "the same, only above the median"

    def distance(self, z: float) -> float:
        """How far a z-score lies above."""
        return z

    def normal(self, low: str, high: str) -> str:  # noqa: ARG002  (the base's signature)
        """The range that is not alarming."""
        return f"at most {high}"


class AnomalyLow(Anomaly):
    """The distance below what is usual, in sigmas."""

    name = "anomaly_low"
    syntax = "anomaly_low(METRIC) > SIGMAS"
    help = "the same, only below the median"

    def distance(self, z: float) -> float:
        """How far a z-score lies below."""
        return -z

    def normal(self, low: str, high: str) -> str:  # noqa: ARG002  (the base's signature)
        """The range that is not alarming."""
        return f"at least {low}"


def _sigmas(z: float) -> str:
    return f"{abs(z):.2g} sigma" if abs(z) < 100 else "over 100 sigma"


def _compared_with(usual: Baseline) -> str:
    hour = "at all hours"
    if usual.hour is not None:
        hour = f"at {(usual.hour - 1) % 24:02d}-{(usual.hour + 2) % 24:02d} UTC"
    return f"{hour} of the last {usual.days} days" if usual.days > 1 else f"{hour} of the last day"


class _AnomalyEvaluator(RuleEvaluator):
    """The z-score of the latest value against its hour."""

    def __init__(self, series: RuleSeries, distance: Callable[[float], float]) -> None:
        super().__init__(series)
        self._distance = distance

    def _evaluate(self, target: Target, latest: Observation, now: float) -> RuleValue | None:
        memory = self.series.history(target)
        usual = memory.usual(self.series.unix(now)) if memory else None
        if usual is None:
            return None
        return RuleValue(value=self._distance(usual.z(latest.value)), latest=latest, details=usual)
