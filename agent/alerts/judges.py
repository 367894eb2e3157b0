"""Judges: for each function of the condition language, what is remembered of a series and how it is read.

A judge belongs to one rule and sees the series of that rule's metric. `read` gives a `Evaluation`, or None
while the series cannot be judged (nothing seen, too little history, stale).
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from agent.alerts.anomaly import Baseline, HourlyMemory
from agent.alerts.expression import ANOMALIES, Condition, Function
from agent.alerts.rules import Rule
from agent.alerts.series import Burn, BurnSeries, RateSeries
from agent.core.types import Labels, Observation

Target = tuple[tuple[str, str], ...]  # labels, sorted


def target_of(labels: Labels) -> Target:
    """Labels as a key."""
    return tuple(sorted(labels.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a rule's condition comes to for one target: `value` is compared with the limit.

    `latest` is the observation behind it; `usual` and `burn` say more where the function knows more.
    """

    value: float
    latest: Observation
    usual: Baseline | None = None
    burn: Burn | None = None


class Evaluator(ABC):
    """Reads the series of one rule; keeps the latest observation of each target."""

    def __init__(self, condition: Condition, stale_seconds: float) -> None:
        self.condition = condition
        self.stale_seconds = stale_seconds
        self.latest: dict[Target, Observation] = {}

    def see(self, target: Target, observation: Observation) -> None:
        """Take note of a new observation."""
        self.latest[target] = observation

    def read(self, target: Target, now: float) -> Evaluation | None:
        """The reading of `target` at `now`, None where it cannot be judged."""
        latest = self.latest.get(target)
        if latest is None or now - latest.at > self.stale_seconds:
            return None
        return self._read(target, latest, now)

    @abstractmethod
    def _read(self, target: Target, latest: Observation, now: float) -> Evaluation | None:
        """The reading of a target whose latest observation is fresh."""

    def forget(self, target: Target) -> None:
        """The target is gone."""
        self.latest.pop(target, None)

    def shift(self, seconds: float) -> None:
        """The clock was set forward by `seconds`."""
        self.latest = {
            target: dataclasses.replace(latest, at=latest.at + seconds)
            for target, latest in self.latest.items()
        }

    def to_json(self) -> list[Any]:
        """What must survive a restart, as plain JSON values: nothing, where the next observation says all."""
        return []

    def restore(self, entries: Iterable[Any], now: float) -> None:  # noqa: B027  (most have nothing to restore)
        """Go on where `to_json` left off."""


class ValueEvaluator(Evaluator):
    """The metric itself."""

    def _read(self, target: Target, latest: Observation, now: float) -> Evaluation | None:  # noqa: ARG002  (the base's signature)
        return Evaluation(value=latest.value, latest=latest)


class AbsenceEvaluator(Evaluator):
    """Seconds since a series that was seen before was last seen; never stale: that is the point."""

    def read(self, target: Target, now: float) -> Evaluation | None:
        """How long nothing was seen of `target`."""
        latest = self.latest.get(target)
        return Evaluation(value=now - latest.at, latest=latest) if latest else None

    def _read(self, target: Target, latest: Observation, now: float) -> Evaluation | None:  # noqa: ARG002  (the base's signature)
        return self.read(target, now)

    def to_json(self) -> list[Any]:
        """The targets that are expected to report."""
        return [dict(target) for target in self.latest]

    def restore(self, entries: Iterable[Any], now: float) -> None:
        """Expect the same targets; the time the agent was off does not count."""
        metric = self.condition.metric
        for labels in entries:
            self.latest[target_of(labels)] = Observation(
                metric=metric, value=0.0, at=now, labels=dict(labels)
            )


Series = TypeVar("Series", RateSeries, BurnSeries)


class SeriesEvaluator(Evaluator, Generic[Series]):
    """A judge that remembers samples of each target."""

    def __init__(self, condition: Condition, stale_seconds: float) -> None:
        super().__init__(condition, stale_seconds)
        self._series: dict[Target, Series] = {}

    @abstractmethod
    def _new(self) -> Series:
        """An empty series."""

    @abstractmethod
    def _add(self, series: Series, observation: Observation) -> None:
        """Take note of an observation in its target's series."""

    def see(self, target: Target, observation: Observation) -> None:
        """Take note of a new observation."""
        super().see(target, observation)
        if target not in self._series:
            self._series[target] = self._new()
        self._add(self._series[target], observation)

    def forget(self, target: Target) -> None:
        """The target is gone."""
        super().forget(target)
        self._series.pop(target, None)

    def shift(self, seconds: float) -> None:
        """The clock was set forward by `seconds`."""
        super().shift(seconds)
        for series in self._series.values():
            series.shift(seconds)

    def to_json(self) -> list[Any]:
        """The samples of each target."""
        return [
            {"labels": dict(target), "samples": series.to_json()} for target, series in self._series.items()
        ]

    def restore(self, entries: Iterable[Any], now: float) -> None:
        """The samples that `to_json` wrote; those of a clock that was ahead are let go."""
        for entry in entries:
            series = self._new()
            series.restore([sample for sample in entry["samples"] if sample[0] <= now])
            self._series[target_of(entry["labels"])] = series


class RateEvaluator(SeriesEvaluator[RateSeries]):
    """Change per second over a window."""

    def __init__(self, condition: Condition, stale_seconds: float, *, counter: bool) -> None:
        super().__init__(condition, stale_seconds)
        self._counter = counter

    def _new(self) -> RateSeries:
        return RateSeries(self.condition.over, counter=self._counter)

    def _add(self, series: RateSeries, observation: Observation) -> None:
        series.add(observation.value, observation.at)

    def _read(self, target: Target, latest: Observation, now: float) -> Evaluation | None:  # noqa: ARG002  (the base's signature)
        rate = self._series[target].rate()
        return None if rate is None else Evaluation(value=rate, latest=latest)


class BurnEvaluator(SeriesEvaluator[BurnSeries]):
    """How fast an error budget burns; an observation's evidence `frames` is its weight."""

    def _new(self) -> BurnSeries:
        asked = self.condition
        return BurnSeries(
            asked.objective, asked.over, target=asked.target, comparison=asked.target_comparison
        )

    def _add(self, series: BurnSeries, observation: Observation) -> None:
        weight = float(observation.evidence.get("frames", 1.0)) if self.condition.target is None else 1.0
        series.add(observation.value, weight, observation.at)

    def _read(self, target: Target, latest: Observation, now: float) -> Evaluation | None:
        burn = self._series[target].burn(now)
        return None if burn is None else Evaluation(value=burn.times, latest=latest, burn=burn)


class AnomalyEvaluator(Evaluator):
    """Robust z-score against the same hour of recent days; the memory is shared by the rules on a metric."""

    def __init__(
        self, condition: Condition, stale_seconds: float, remembered: Callable[[Target], HourlyMemory | None]
    ) -> None:
        super().__init__(condition, stale_seconds)
        self._remembered = remembered

    def _read(self, target: Target, latest: Observation, now: float) -> Evaluation | None:
        memory = self._remembered(target)
        usual = memory.usual(now) if memory else None
        if usual is None:
            return None
        z = usual.z(latest.value)
        signed = {Function.ANOMALY: abs(z), Function.ANOMALY_HIGH: z, Function.ANOMALY_LOW: -z}
        return Evaluation(value=signed[self.condition.function], latest=latest, usual=usual)


def make_judge(
    rule: Rule, stale_seconds: float, remembered: Callable[[str, Target], HourlyMemory | None]
) -> Evaluator:
    """The judge for `rule`; `remembered` finds the memory of a metric's target."""
    condition = rule.condition
    if condition.function is Function.ABSENT:
        return AbsenceEvaluator(condition, stale_seconds)
    if condition.function is Function.RATE:
        return RateEvaluator(condition, stale_seconds, counter=rule.metric.unit == "total")
    if condition.function is Function.BURN:
        return BurnEvaluator(condition, stale_seconds)
    if condition.function in ANOMALIES:
        return AnomalyEvaluator(condition, stale_seconds, lambda target: remembered(condition.metric, target))
    return ValueEvaluator(condition, stale_seconds)
