"""Burn: how fast an error budget is spent, in multiples of what its objective allows."""

from __future__ import annotations

import dataclasses
import math
import re
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from agent.alerts.evaluators import (
    Condition,
    Finding,
    FunctionArguments,
    RuleEvaluator,
    RuleFunction,
    RuleSeries,
    RuleValue,
    Target,
    UnfitMetricError,
    compare,
)
from agent.alerts.evaluators.sampled import SampledEvaluator
from agent.alerts.metrics import RuleMetric, unlisted
from agent.alerts.words import clock, duration, quantity
from agent.core.counts import figures
from agent.core.stages import STAGES, TOTAL
from agent.core.types import Observation
from agent.core.units import duration_text

DEFAULT_SECONDS = 3600.0
_STAGE_SECONDS = re.compile(rf"camera\.({'|'.join((TOTAL, *STAGES))})_seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Burn(RuleFunction):
    """The error budget of `objective` (the share that must be good, 0..1) spent over the last `over` seconds.

    With a `target` each window is good or bad: bad where the metric is `comparison` it. Without one, the metric is
    itself the share of bad frames.
    """

    name = "burn"
    syntax = "burn(METRIC [> NUMBER], PERCENT [, DURATION]) > TIMES"
    help = (
        "how fast an error budget is spent, as a multiple of the allowed rate, over a window (default "
        "1h) and its last twelfth: PERCENT of frames or windows must be good"
    )
    evidence_in_sentence = frozenset({"bad_ratio", "burn_times"})

    objective: float
    over: float = DEFAULT_SECONDS
    target: float | None = None
    comparison: str = ">"

    @classmethod
    def parse(cls, arguments: FunctionArguments) -> Burn:
        """Read target, objective and window."""
        comparison = arguments.accept(">", ">=", "<", "<=")
        target = arguments.number() if comparison else None
        arguments.expect(",")
        objective = arguments.number()
        if not 0 < objective < 1:
            arguments.fail(
                "a burn's objective is the share that must be good", "between 0% and 100%, such as 99%"
            )
        over = arguments.duration() if arguments.accept(",") else DEFAULT_SECONDS
        return cls(objective=objective, over=over, target=target, comparison=comparison or ">")

    def text(self, series: str) -> str:
        """The function on `series`, with its target, objective and window."""
        target = f" {self.comparison} {self.target:g}" if self.target is not None else ""
        return f"burn({series}{target}, {self.objective * 100:g}%, {duration_text(self.over)})"

    def resolve(
        self, condition: Condition, find: Callable[[str], RuleMetric | None]
    ) -> tuple[Condition, RuleMetric | None]:
        """A target of a stage's time is counted frame by frame (`slo.py`): its share of slow frames is observed."""
        if (given := condition.selector.get("target")) is not None:
            condition = dataclasses.replace(
                condition, selector={**condition.selector, "target": _seconds(given)}
            )
        stage = _STAGE_SECONDS.fullmatch(condition.metric)
        if stage and self.target is not None:
            if self.comparison not in {">", ">="}:
                raise UnfitMetricError("calls slow frames good", f"{condition.metric} > SECONDS")
            condition = dataclasses.replace(
                condition,
                metric=f"camera.{stage[1]}_over_ratio",
                selector={**condition.selector, "target": f"{self.target:g}"},
                function=dataclasses.replace(self, target=None, comparison=">"),
            )
            return condition, find(condition.metric) or unlisted(condition.metric, "speed")
        metric = find(condition.metric)
        if metric is not None and self.target is None and metric.unit != "ratio":
            expected = f"burn({condition.metric} > NUMBER, 99%), which says what a bad window is"
            raise UnfitMetricError(f"{condition.metric} is not a share of bad frames", expected)
        return condition, metric

    def evaluator(self, series: RuleSeries) -> RuleEvaluator:
        """An evaluator that remembers the window."""
        return _BurnEvaluator(series, self)

    def sentences(self, finding: Finding) -> tuple[str, str]:
        """Which share was bad, and which is promised to be good."""
        burn = finding.evaluation.details
        bad, expected = self._shares(finding)
        share, times = quantity(burn.bad, "ratio"), figures(burn.times, 2)
        return f"{finding.subject}: {share} {bad}, {times} times what the target allows", expected

    def _shares(self, finding: Finding) -> tuple[str, str]:
        good, metric = quantity(self.objective, "ratio"), finding.metric
        seconds = finding.condition.selector.get("target")
        if seconds:
            stage = metric.name.removeprefix("camera.").removesuffix("_over_ratio")
            return f"of frames over {seconds} s {stage}", f"{good} of frames within {seconds} s {stage}"
        if self.target is not None:
            bad = f"of windows with {metric.words} {self.comparison} {finding.quantity(self.target)}"
            return bad, f"{good} of windows without"
        return metric.words, f"at most {quantity(1 - self.objective, 'ratio')}"

    def window(self, evaluation: RuleValue, now: float) -> str:
        """The two windows that end now."""
        long, short = duration(evaluation.details.long_seconds), duration(evaluation.details.short_seconds)
        return f"over the last {long} and the last {short}, until {clock(now)}"

    def evidence(self, evaluation: RuleValue) -> dict[str, Any]:
        """The share of bad frames or windows, and how many times the budget is spent."""
        burn = evaluation.details
        return {"bad_ratio": round(burn.bad, 6), "burn_times": round(burn.times, 3)}


def _seconds(text: str) -> str:
    """A target's seconds as its observations are labelled; raises UnfitMetricError."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UnfitMetricError(f'target="{text}" is no number of seconds', 'target="0.5"')
    return f"{seconds:g}"


class _BurnEvaluator(SampledEvaluator["BurnSeries"]):
    """The budget of each target; an observation's evidence `frames` is its weight."""

    def __init__(self, series: RuleSeries, burn: Burn) -> None:
        super().__init__(series)
        self._burn = burn

    def _new(self) -> BurnSeries:
        burn = self._burn
        return BurnSeries(burn.objective, burn.over, target=burn.target, comparison=burn.comparison)

    def _add(self, samples: BurnSeries, observation: Observation) -> None:
        weight = float(observation.evidence.get("frames", 1.0)) if self._burn.target is None else 1.0
        samples.add(observation.value, weight, observation.at)

    def _evaluate(self, target: Target, latest: Observation, now: float) -> RuleValue | None:
        burn = self._samples[target].burn(now)
        return None if burn is None else RuleValue(value=burn.times, latest=latest, details=burn)


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnRate:
    """How fast an error budget burns: `times` 1 spends exactly what the objective allows.

    `times` is the smaller of the two windows', `bad` the share of bad frames over the long one.
    """

    times: float
    bad: float
    long_seconds: float
    short_seconds: float


class BurnSeries:
    """Error budget burnt over a long window and its last twelfth: both must burn for an alert.

    The long window makes it significant, the short one makes it end soon after the trouble ended (Google,
    The Site Reliability Workbook, chapter 5, "Multiwindow, multi-burn-rate alerts").
    """

    def __init__(
        self, objective: float, over: float, *, target: float | None = None, comparison: str = ">"
    ) -> None:
        self._objective, self._long, self._short = objective, over, over / 12
        self._target, self._comparison = target, comparison
        self._buckets: deque[list[float]] = deque()  # [start, bad, all]

    def add(self, value: float, weight: float, at: float) -> None:
        """A share of bad frames among `weight` frames or, with a target, one measurement to hold to it."""
        bad = float(compare(value, self._comparison, self._target)) if self._target is not None else value
        if not self._buckets or at - self._buckets[-1][0] >= self._short / 10:
            self._buckets.append([at, 0.0, 0.0])
        self._buckets[-1][1] += bad * weight
        self._buckets[-1][2] += weight
        while self._buckets and self._buckets[0][0] <= at - self._long:
            self._buckets.popleft()

    def burn(self, now: float) -> BurnRate | None:
        """How fast the budget burns; None before the long window is half known."""
        if not self._buckets or now - self._buckets[0][0] < self._long / 2:
            return None
        long, short = self._share(now - self._long), self._share(now - self._short)
        if long is None or short is None:
            return None
        times = min(long, short) / (1 - self._objective)
        return BurnRate(times=times, bad=long, long_seconds=self._long, short_seconds=self._short)

    def _share(self, since: float) -> float | None:
        kept = [bucket for bucket in self._buckets if bucket[0] > since]
        total = sum(bucket[2] for bucket in kept)
        return sum(bucket[1] for bucket in kept) / total if total else None

    def to_json(self) -> list[Any]:
        """The buckets as plain JSON values."""
        return [list(bucket) for bucket in self._buckets]

    def restore(self, buckets: Iterable[Any]) -> None:
        """Continue from what `to_json` returned."""
        self._buckets.extend([float(number) for number in bucket] for bucket in buckets)
