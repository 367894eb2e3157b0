"""Rule functions: what a condition makes of a metric before it is compared with the limit.

A function is one file and one line in FUNCTIONS. Its class, a frozen value that holds the arguments of one
condition, brings syntax, help and sentences; its evaluator holds what must be remembered of the series. Both have
defaults for everything but the evaluation itself.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from agent.alerts.metrics import RuleMetric
from agent.alerts.words import quantity
from agent.core.registry import Registry
from agent.core.types import Labels, Observation

if TYPE_CHECKING:
    from agent.alerts.hourly_memory import HourlyMemory

FUNCTIONS = Registry(
    "function",
    {
        "value": "agent.alerts.evaluators.value:Value",
        "absent": "agent.alerts.evaluators.absent:Absent",
        "rate": "agent.alerts.evaluators.rate:Rate",
        "anomaly": "agent.alerts.evaluators.anomaly:Anomaly",
        "anomaly_high": "agent.alerts.evaluators.anomaly:AnomalyHigh",
        "anomaly_low": "agent.alerts.evaluators.anomaly:AnomalyLow",
        "burn": "agent.alerts.evaluators.burn:Burn",
    },
)

Target = tuple[tuple[str, str], ...]  # labels, sorted


def target_of(labels: Labels) -> Target:
    """Labels as a key."""
    return tuple(sorted(labels.items()))


def compare(value: float, comparison: str, limit: float) -> bool:
    """`value comparison limit`; False for NaN."""
    return {
        ">": value > limit,
        ">=": value >= limit,
        "<": value < limit,
        "<=": value <= limit,
    }[comparison]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition, as parsed: `function(metric{selector}) comparison limit for hold`.

    `hold` is None where the text gives none; `compared` is False where it has no comparison.
    """

    metric: str
    function: RuleFunction
    comparison: str = ">"
    limit: float = 0.0
    selector: Mapping[str, str] = field(default_factory=dict)
    hold: float | None = None
    compared: bool = field(default=True, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleValue:
    """The value of a rule's function for one target, which is compared with the limit.

    `latest` is the observation behind it; `details` is what the function needs for its sentences and evidence.
    """

    value: float
    latest: Observation
    details: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What the sentences of an alert are made of: an evaluation against the limit in force."""

    subject: str
    condition: Condition
    metric: RuleMetric
    evaluation: RuleValue
    limit: float
    clear: float | None = None

    def quantity(self, value: float) -> str:
        """`value` in the unit of the metric."""
        return quantity(value, self.metric.unit)

    def bound(self, limit: str) -> str:
        """What was expected: `at most 5 s`."""
        words = {">": "at most", ">=": "below", "<": "at least", "<=": "above"}
        return f"{words[self.condition.comparison]} {limit}"


class UnfitMetricError(ValueError):
    """A function cannot be used on the metric it was given; `expected` is on which it can."""

    def __init__(self, message: str, expected: str) -> None:
        super().__init__(message)
        self.expected = expected


class FunctionArguments(Protocol):
    """The parser, at the arguments of a function: a method reads what it is named after or raises ExpressionError."""

    def accept(self, *signs: str) -> str:
        """The next sign, if it is one of `signs`; else nothing is read, and it is empty."""

    def expect(self, sign: str) -> None:
        """Read `sign`."""

    def number(self) -> float:
        """Read a number."""

    def duration(self) -> float:
        """Read a duration, in seconds."""

    def fail(self, message: str, expected: str) -> None:
        """Raise ExpressionError at the next word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSeries:
    """What an evaluator is made for: the metric of one rule.

    A value is stale after `stale_seconds`; `history` finds what is remembered of a target by hour of day, for
    functions with `uses_history`, and `unix` is the Unix time of a moment, which has one.
    """

    condition: Condition
    metric: RuleMetric
    stale_seconds: float
    history: Callable[[Target], HourlyMemory | None]
    unix: Callable[[float], float] = float


class RuleEvaluator(ABC):
    """Evaluates the condition of one rule; keeps the latest observation of each target."""

    has_samples: ClassVar[bool] = False
    """What it must keep over a restart is large, and so saved seldom."""

    def __init__(self, series: RuleSeries) -> None:
        self.series = series
        self.latest: dict[Target, Observation] = {}

    def observe(self, target: Target, observation: Observation) -> None:
        """Process a new observation."""
        self.latest[target] = observation

    def evaluate(self, target: Target, now: float) -> RuleValue | None:
        """The value for `target` at `now`; None where nothing fresh is known."""
        latest = self.latest.get(target)
        if latest is None or now - latest.at > self.series.stale_seconds:
            return None
        return self._evaluate(target, latest, now)

    @abstractmethod
    def _evaluate(self, target: Target, latest: Observation, now: float) -> RuleValue | None:
        """The value for a target whose latest observation is fresh; None where too little is known."""

    def remove(self, target: Target) -> None:
        """Discard what is known of `target`."""
        self.latest.pop(target, None)

    def sleep(self, seconds: float) -> None:
        """The box slept for `seconds`: no observation became older by that."""
        self.latest = {
            target: dataclasses.replace(latest, at=latest.at + seconds)
            for target, latest in self.latest.items()
        }

    def to_json(self) -> list[Any]:
        """What must survive a restart, as plain JSON values; nothing where the next observation is enough."""
        return []

    def restore(self, entries: Iterable[Any], now: float) -> None:  # noqa: B027  (most have nothing to restore)
        """Continue from what `to_json` returned."""


class RuleFunction(ABC):
    """One rule function, with the arguments that a condition gives it. Subclasses are frozen dataclasses."""

    name: ClassVar[str]
    syntax: ClassVar[str]
    help: ClassVar[str]
    is_duration: ClassVar[bool] = False
    """The value is a time that passes: no comparison follows, `for` is the limit, each step evaluates all targets."""
    uses_history: ClassVar[bool] = False
    """The engine remembers the metric by hour of day."""
    evidence_in_sentence: ClassVar[frozenset[str]] = frozenset()
    """Keys of its evidence that its sentences already contain."""

    @classmethod
    def parse(cls, arguments: FunctionArguments) -> RuleFunction:  # noqa: ARG003  (most have none)
        """Read the arguments that follow the metric; none by default."""
        return cls()

    def text(self, series: str) -> str:
        """The function on `series`, as a condition has it."""
        return f"{self.name}({series})"

    def resolve(
        self, condition: Condition, find: Callable[[str], RuleMetric | None]
    ) -> tuple[Condition, RuleMetric | None]:
        """The condition on the metric that is really observed, and that metric, None if there is no such metric.

        Raises UnfitMetricError.
        """
        return condition, find(condition.metric)

    @abstractmethod
    def evaluator(self, series: RuleSeries) -> RuleEvaluator:
        """A new evaluator for the condition that this function belongs to."""

    def sentences(self, finding: Finding) -> tuple[str, str]:
        """What happened, and what was expected."""
        value = finding.quantity(finding.evaluation.value)
        what = f"{finding.subject}: {self.name} of {finding.metric.words} {value}"
        return what, finding.bound(finding.quantity(finding.limit))

    def resolved(self, finding: Finding) -> str:
        """What is well again."""
        value = finding.quantity(finding.evaluation.latest.value)
        of_limit = " times its limit" if finding.metric.unit == "times" else ""
        return f"{finding.subject}: {finding.metric.words} back to {value}{of_limit}"

    def window(self, evaluation: RuleValue, now: float) -> str:  # noqa: ARG002  (the default needs none)
        """The time that was evaluated; empty: since the condition is true."""
        return ""

    def evidence(self, evaluation: RuleValue) -> dict[str, Any]:  # noqa: ARG002  (the default has none)
        """Figures behind the value, as plain JSON values."""
        return {}
