"""Rate: the change of a metric per second over a window."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from agent.alerts.evaluators import (
    Finding,
    FunctionArguments,
    RuleEvaluator,
    RuleFunction,
    RuleSeries,
    RuleValue,
    Target,
)
from agent.alerts.evaluators.sampled import SampledEvaluator
from agent.alerts.words import duration, span
from agent.core.types import Observation
from agent.core.units import duration_text

DEFAULT_SECONDS = 600.0
SAMPLES = 60  # a window is remembered in at most this many steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate(RuleFunction):
    """The change per second over the last `over` seconds."""

    name = "rate"
    syntax = "rate(METRIC [, DURATION]) > NUMBER"
    help = "change per second over a window (default 10m); resets of counters (_total) are handled"

    over: float = DEFAULT_SECONDS

    @classmethod
    def parse(cls, arguments: FunctionArguments) -> Rate:
        """Read the window."""
        return cls(over=arguments.duration()) if arguments.accept(",") else cls()

    def text(self, series: str) -> str:
        """The function on `series`, with its window."""
        return f"rate({series}, {duration_text(self.over)})"

    def evaluator(self, series: RuleSeries) -> RuleEvaluator:
        """An evaluator that remembers the window."""
        return _RateEvaluator(series, self.over)

    def sentences(self, finding: Finding) -> tuple[str, str]:
        """By how much the metric changed in the window, and by how much it may."""
        over = duration(self.over)
        change, allowed = finding.evaluation.value * self.over, finding.limit * self.over
        verb = "rose" if change >= 0 else "fell"
        bound = f"a change of {finding.bound(finding.quantity(allowed))}"
        if allowed == 0:
            bound = "no rise" if finding.condition.comparison == ">" else "no fall"
        text = finding.evaluation.latest.text
        rose = (
            f"{finding.subject}: {finding.metric.words} {verb} by {finding.quantity(abs(change))} in {over}"
        )
        return f"{rose}; {text}" if text else rose, f"{bound} in {over}"

    def resolved(self, finding: Finding) -> str:
        """That the change is as expected."""
        return f"{finding.subject}: {finding.metric.words} as steady as expected again"

    def window(self, evaluation: RuleValue, now: float) -> str:  # noqa: ARG002  (the base's signature)
        """The window that ends now."""
        return f"over {span(now - self.over, now)}"


class _RateEvaluator(SampledEvaluator["RateSeries"]):
    """The change per second of each target."""

    def __init__(self, series: RuleSeries, over: float) -> None:
        super().__init__(series)
        self._over = over

    def _new(self) -> RateSeries:
        return RateSeries(self._over, counter=self.series.metric.unit == "total")

    def _add(self, samples: RateSeries, observation: Observation) -> None:
        samples.add(observation.value, observation.at)

    def _evaluate(self, target: Target, latest: Observation, now: float) -> RuleValue | None:  # noqa: ARG002  (the base's signature)
        rate = self._samples[target].rate()
        return None if rate is None else RuleValue(value=rate, latest=latest)


class RateSeries:
    """Change per second of a number over the last `over` seconds."""

    def __init__(self, over: float, *, counter: bool) -> None:
        self._over, self._counter = over, counter
        self._samples: deque[tuple[float, float]] = deque()  # (at, value), a counter's resets taken out
        self._last: tuple[float, float] | None = None
        self._offset = 0.0

    def add(self, value: float, at: float) -> None:
        """Add `value`; a counter that falls was reset, and goes on from there."""
        if self._last is not None and at <= self._last[0]:
            return
        if self._counter and self._last is not None and value + self._offset < self._last[1]:
            self._offset = self._last[1]
        self._last = (at, value + self._offset)
        if not self._samples or at - self._samples[-1][0] >= self._over / SAMPLES:
            self._samples.append(self._last)
        while len(self._samples) > 1 and self._samples[1][0] <= at - self._over:
            self._samples.popleft()

    def rate(self) -> float | None:
        """Change per second between the oldest sample and the last; None before there are two."""
        if self._last is None or self._last[0] <= self._samples[0][0]:
            return None
        (first_at, first), (last_at, last) = self._samples[0], self._last
        # A new series is evaluated as if nothing had changed before: one step is no trend yet.
        return (last - first) / max(last_at - first_at, self._over)

    def to_json(self) -> list[Any]:
        """The samples, the last one included, as plain JSON values."""
        kept = [list(sample) for sample in self._samples]
        return kept + ([list(self._last)] if self._last and self._last != self._samples[-1] else [])

    def restore(self, samples: Iterable[Any]) -> None:
        """Continue from what `to_json` returned."""
        for at, value in samples:
            self.add(float(value), float(at))
