"""The metric itself: a threshold, or a state by its bare name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agent.alerts.evaluators import (
    Condition,
    Finding,
    RuleEvaluator,
    RuleFunction,
    RuleSeries,
    RuleValue,
    Target,
    UnfitMetricError,
    compare,
)
from agent.alerts.metrics import RuleMetric
from agent.core.counts import multiple
from agent.core.types import Observation


@dataclass(frozen=True, slots=True)
class Value(RuleFunction):
    """The metric itself, compared with a number; a bare state means `> 0`."""

    name = "value"
    syntax = "METRIC > NUMBER [for DURATION] | STATE [for DURATION]"
    help = "the metric itself; a state such as camera.frozen needs no comparison"

    def text(self, series: str) -> str:
        """The series alone: this function has no name in a condition."""
        return series

    def resolve(
        self, condition: Condition, find: Callable[[str], RuleMetric | None]
    ) -> tuple[Condition, RuleMetric | None]:
        """Refuse a bare metric that is no state, and a share over 1."""
        metric, limit = find(condition.metric), condition.limit
        if metric is not None and not condition.compared and metric.unit != "state":
            raise UnfitMetricError("has no comparison", f'"{condition.metric} > NUMBER"')
        if metric is not None and metric.unit == "ratio" and limit > 1:
            raise UnfitMetricError(f"{condition.metric} never exceeds 1", f"{limit:g}% or {limit / 100:g}")
        return condition, metric

    def evaluator(self, series: RuleSeries) -> RuleEvaluator:
        """An evaluator that returns the latest value."""
        return _ValueEvaluator(series)

    def sentences(self, finding: Finding) -> tuple[str, str]:
        """What is so or how much it is, and what it should be."""
        if finding.metric.unit == "state":
            return _state_sentences(finding)
        metric, limit, text = finding.metric, finding.limit, finding.evaluation.latest.text
        if text:
            bound = "its limit" if metric.unit == "times" and limit == 1 else finding.quantity(limit)
            return f"{finding.subject}: {text}", f"{metric.words} {finding.bound(bound)}"
        if metric.unit == "times":
            bound = "its limit" if limit == 1 else f"{limit:g} times its limit"
            ratio = multiple(finding.evaluation.value, "its limit")
            return f"{finding.subject}: {metric.words} {ratio}", finding.bound(bound)
        value = finding.quantity(finding.evaluation.value)
        return f"{finding.subject}: {metric.words} {value}", _expected(finding)


def _state_sentences(finding: Finding) -> tuple[str, str]:
    metric, text = finding.metric, finding.evaluation.latest.text
    is_on = finding.evaluation.value > 0
    wrong = metric.words if is_on else metric.words.replace("is ", "is not ", 1)
    alarming_when_on = finding.condition.comparison in {">", ">="}
    expected = metric.expected if alarming_when_on else metric.words.removeprefix("is ")
    return f"{finding.subject} {wrong}" + (f": {text}" if text else ""), expected


def _expected(finding: Finding) -> str:
    condition, limit = finding.condition, finding.limit
    expected = finding.bound(finding.quantity(limit))
    if finding.clear is not None and not compare(finding.evaluation.value, condition.comparison, limit):
        expected += f"; it is over at {finding.quantity(finding.clear + limit - condition.limit)}"
    return expected


class _ValueEvaluator(RuleEvaluator):
    """The latest value."""

    def _evaluate(self, target: Target, latest: Observation, now: float) -> RuleValue:  # noqa: ARG002  (the base's signature)
        return RuleValue(value=latest.value, latest=latest)
