"""Absence: for how long a series that was observed before has not been observed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from agent.alerts.evaluators import (
    Finding,
    RuleEvaluator,
    RuleFunction,
    RuleSeries,
    RuleValue,
    Target,
    target_of,
)
from agent.alerts.words import clock, duration
from agent.core.types import Observation


@dataclass(frozen=True, slots=True)
class Absent(RuleFunction):
    """Seconds since the last observation of a series."""

    name = "absent"
    syntax = "absent(METRIC) for DURATION"
    help = "the metric was not reported for this long; the time that the box was off does not count"
    is_duration = True

    def evaluator(self, series: RuleSeries) -> RuleEvaluator:
        """An evaluator that knows which targets are expected to report."""
        return _AbsenceEvaluator(series)

    def sentences(self, finding: Finding) -> tuple[str, str]:
        """Since when nothing was reported, and how often a report is expected."""
        evaluation = finding.evaluation
        since = clock(evaluation.latest.at)
        return (
            f"{finding.subject}: no report of {finding.metric.words} for {duration(evaluation.value)}, since {since}",
            f"one at least every {duration(finding.limit)}",
        )

    def resolved(self, finding: Finding) -> str:
        """That there are reports again."""
        return f"{finding.subject}: {finding.metric.words} is reported again"


class _AbsenceEvaluator(RuleEvaluator):
    """The age of the latest observation, which is never stale: that is the point."""

    def evaluate(self, target: Target, now: float) -> RuleValue | None:
        """The time since `target` was last observed."""
        latest = self.latest.get(target)
        return self._evaluate(target, latest, now) if latest else None

    def _evaluate(self, target: Target, latest: Observation, now: float) -> RuleValue:  # noqa: ARG002  (the base's signature)
        return RuleValue(value=now - latest.at, latest=latest)

    def to_json(self) -> list[Any]:
        """The targets that are expected to report."""
        return [dict(target) for target in self.latest]

    def restore(self, entries: Iterable[Any], now: float) -> None:
        """Expect the same targets; the time the agent was off does not count."""
        metric = self.series.condition.metric
        for labels in entries:
            self.latest[target_of(labels)] = Observation(
                metric=metric, value=0.0, at=now, labels=dict(labels)
            )
