"""The rule monitor: evaluates every rule on every target that its metric was observed for."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from agent.alerts import words
from agent.alerts.evaluators import RuleEvaluator, RuleSeries, RuleValue, Target, compare, target_of
from agent.alerts.grouping import CameraFaults
from agent.alerts.hourly_memory import HourlyMemory
from agent.alerts.instance import AlertInstance, InstanceKey
from agent.alerts.rules import Rule
from agent.alerts.state_machine import HoldTimes, Phase, Transition, advance
from agent.core.types import Labels, Observation

MOST_INSTANCES = 20_000
MOST_MEMORIES = 1_000  # each takes 32 kB when full
SETTLE_SECONDS = 60.0  # a camera needs this long after a start to be found down, frozen, black, ... again

LimitOf = Callable[[Rule, Labels], float]
OnEnd = Callable[
    [AlertInstance, Rule | None, RuleValue | None, float], None
]  # instance, rule, evaluation, at


class RuleMonitor:
    """Holds rules, alert instances and the history of series; memory is bounded, `refused` counts what was left out.

    `limit_of` returns the limit of a rule on a target; `on_end` is called for each firing instance that ended.
    `stale_seconds` is how long a value counts as fresh, `linger_seconds` how long a fault explains others;
    `metrics` are the names that were observed, `unix_offset` is what makes a time Unix time (hours of the day).
    """

    def __init__(
        self, *, stale_seconds: float, linger_seconds: float, limit_of: LimitOf, on_end: OnEnd
    ) -> None:
        self.stale_seconds = stale_seconds
        self.faults = CameraFaults(linger_seconds)
        self.instances: dict[InstanceKey, AlertInstance] = {}
        self.refused = 0
        self.metrics: set[str] = set()
        self._limit_of, self._on_end = limit_of, on_end
        self._drift_scored_at: dict[str, float] = {}
        self._memories: dict[tuple[str, Target], HourlyMemory] = {}
        self._evaluators: dict[str, tuple[Rule, RuleEvaluator]] = {}
        self._by_metric: dict[str, list[tuple[Rule, RuleEvaluator]]] = {}
        self._history_metrics: frozenset[str] = frozenset()
        self._grace_until = -math.inf
        self.unix_offset = 0.0

    def set_rules(self, rules: Sequence[Rule]) -> None:
        """Replace the rules; alerts of rules that were removed resolve at the next step."""
        before = self._evaluators
        self._evaluators = {
            rule.name: before[rule.name]
            if rule.name in before and before[rule.name][0] == rule
            else (rule, self._new_evaluator(rule))
            for rule in rules
        }
        self._drop_pending([name for name, (rule, _) in before.items() if self._differs(name, rule)])
        self._by_metric = {}
        for rule, evaluator in self._evaluators.values():
            self._by_metric.setdefault(rule.condition.metric, []).append((rule, evaluator))
            old = before.get(rule.name, (None, evaluator))[1]
            if old is not evaluator and old.series.condition.metric == rule.condition.metric:
                for target, latest in old.latest.items():
                    if _concerns(rule, latest.labels):
                        evaluator.observe(target, latest)
        self._history_metrics = frozenset(
            rule.condition.metric for rule in rules if rule.condition.function.uses_history
        )

    def _new_evaluator(self, rule: Rule) -> RuleEvaluator:
        metric = rule.condition.metric
        series = RuleSeries(
            condition=rule.condition,
            metric=rule.metric,
            stale_seconds=self.stale_seconds,
            history=lambda target: self._memories.get((metric, target)),
            unix=lambda at: at + self.unix_offset,
        )
        return rule.condition.function.evaluator(series)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules in force."""
        return tuple(rule for rule, _ in self._evaluators.values())

    def _differs(self, name: str, rule: Rule) -> bool:
        new = self.rule(name)
        return new is not None and new.condition != rule.condition

    def _drop_pending(self, names: Iterable[str]) -> None:
        """Discard pending instances: how long another condition held means nothing for the one that a rule has now."""
        for key, instance in list(self.instances.items()):
            if instance.rule in names and instance.state.phase is Phase.PENDING:
                del self.instances[key]

    def remove_targets(self, labels: Labels, now: float) -> None:
        """Discard all that is known of targets with these labels (a camera that was removed)."""
        for _, evaluator in self._evaluators.values():
            for target in [known for known in evaluator.latest if labels.items() <= dict(known).items()]:
                evaluator.remove(target)
        for key, instance in list(self.instances.items()):
            if labels.items() <= instance.labels.items():
                self._drop(self.instances.pop(key), "no longer watched", now)
        self._memories = {
            key: memory
            for key, memory in self._memories.items()
            if not labels.items() <= dict(key[1]).items()
        }
        self.faults.remove(labels.get("camera", ""))
        self._drift_scored_at.pop(labels.get("camera", ""), None)

    def rule(self, name: str) -> Rule | None:
        """The rule of that name."""
        return self._evaluators[name][0] if name in self._evaluators else None

    def evaluate(self, instance: AlertInstance, now: float) -> RuleValue | None:
        """The value of the rule of `instance` at `now`; None where it is not known or not (any longer) alarming."""
        if instance.rule not in self._evaluators:
            return None
        rule, evaluator = self._evaluators[instance.rule]
        evaluation = evaluator.evaluate(target_of(instance.labels), now)
        limit = self._limit_of(rule, instance.labels)
        firing = instance.state.phase is Phase.FIRING
        return (
            evaluation if evaluation is not None and _beyond(rule, evaluation.value, limit, firing) else None
        )

    def headline(self, instance: AlertInstance) -> str:
        """What the latest observation of the target of `instance` is about; empty where it has no headline."""
        if instance.rule not in self._evaluators:
            return ""
        latest = self._evaluators[instance.rule][1].latest.get(target_of(instance.labels))
        return latest.headline if latest is not None else ""

    def unobserved(self) -> list[Rule]:
        """The rules that nothing was observed for yet: they cannot fire."""
        return [rule for rule, evaluator in self._evaluators.values() if not evaluator.latest]

    def firing(self) -> list[tuple[AlertInstance, Rule]]:
        """The instances that fire, each with its rule."""
        return [
            (instance, self._evaluators[instance.rule][0])
            for instance in self.instances.values()
            if instance.state.phase is Phase.FIRING and instance.rule in self._evaluators
        ]

    # -- evaluating ----------------------------------------------------------------------------------------

    def observe(self, observation: Observation, at: float) -> None:
        """Take note of an observation made at `at`, and evaluator by it."""
        if len(self.metrics) < MOST_INSTANCES:
            self.metrics.add(observation.metric)
        self.faults.observe(observation.metric, observation.labels, observation.value, at)
        if observation.metric == "drift.ratio":
            self._drift_scored_at[observation.labels.get("camera", "")] = at
        evaluated = self._by_metric.get(observation.metric)
        if not evaluated or not math.isfinite(observation.value):
            return
        target = target_of(observation.labels)
        if observation.metric in self._history_metrics:
            self._remember(observation, target, at)
        for rule, evaluator in evaluated:
            if _concerns(rule, observation.labels):
                if target not in evaluator.latest and len(evaluator.latest) >= MOST_INSTANCES:
                    self.refused += 1
                    continue
                evaluator.observe(target, observation)
                self._evaluate(rule, evaluator, target, at)

    def _remember(self, observation: Observation, target: Target, at: float) -> None:
        key = observation.metric, target
        if key not in self._memories:
            if len(self._memories) >= MOST_MEMORIES:
                self.refused += 1
                return
            self._memories[key] = HourlyMemory()
        self._memories[key].add(observation.value, at + self.unix_offset)

    def tick(self, now: float) -> None:
        """Evaluate what changes by time alone; discard what has ended."""
        for name, target in list(self.instances):
            if name in self._evaluators:
                self._evaluate(*self._evaluators[name], target, now)
            else:
                self._drop(self.instances.pop((name, target)), "the rule was removed", now)
        for rule, evaluator in self._evaluators.values():
            if rule.condition.function.is_duration:
                for target in evaluator.latest:
                    self._evaluate(rule, evaluator, target, now)
        for key in [key for key, instance in self.instances.items() if instance.state.idle]:
            del self.instances[key]

    def _drop(self, instance: AlertInstance, reason: str, now: float) -> None:
        if instance.state.phase is Phase.FIRING:
            instance.reason = reason
            self._on_end(instance, self.rule(instance.rule), None, now)

    def _evaluate(self, rule: Rule, evaluator: RuleEvaluator, target: Target, at: float) -> None:
        instance = self.instances.get((rule.name, target))
        evaluation = evaluator.evaluate(target, at)
        if evaluation is None and instance is not None and at < self._grace_until:
            return  # after a restart: not observed again yet
        if evaluation is None and instance is not None and self._held(instance, rule, at):
            return
        firing = instance is not None and instance.state.phase is Phase.FIRING
        limit = self._limit_of(rule, dict(target))
        true = evaluation is not None and _beyond(rule, evaluation.value, limit, firing)
        if not true and instance is not None and at < instance.settled_at:
            return  # after a restart: it takes time to find a camera's fault again
        if instance is None:
            instance = self._new_instance(rule, target) if true else None
            if instance is None:
                return
        was = instance.state.phase
        timing = HoldTimes(hold=rule.hold, keep_firing=rule.keep_firing)
        instance.state, change = advance(instance.state, true, at, timing)
        if was is Phase.INACTIVE and instance.state.phase is not Phase.INACTIVE:
            instance.begin()
        if change is Transition.RESOLVED:
            if evaluation is None:
                instance.reason = f"no data for {words.duration(self.stale_seconds)}"
            self._on_end(instance, rule, evaluation, at)
            instance.reason = ""

    def _held(self, instance: AlertInstance, rule: Rule, at: float) -> bool:
        """Whether an alert that fires stays as it was although nothing is observed: a drift does not end by a camera
        that is down, nor by an hour that cannot be judged, of which the drift score alone is observed."""
        if instance.state.phase is not Phase.FIRING or not rule.metric.name.startswith("drift."):
            return False
        scored_at = self._drift_scored_at.get(instance.labels.get("camera", ""), -math.inf)
        fault = self.faults.inhibiting(rule, instance.labels, at)
        return fault is not None or at - scored_at <= self.stale_seconds

    def _new_instance(self, rule: Rule, target: Target) -> AlertInstance | None:
        if len(self.instances) >= MOST_INSTANCES:
            self.refused += 1
            return None
        instance = self.instances[rule.name, target] = AlertInstance(rule=rule.name, labels=dict(target))
        return instance

    def sleep(self, seconds: float) -> None:
        """The box slept for `seconds`: nothing could be observed meanwhile, and so nothing is missing."""
        for instance in self.instances.values():
            instance.sleep(seconds)
        for _, evaluator in self._evaluators.values():
            evaluator.sleep(seconds)
        self.faults.sleep(seconds)
        self._drift_scored_at = {camera: at + seconds for camera, at in self._drift_scored_at.items()}
        self._grace_until += seconds

    # -- over a restart ---------------------------------------------------------------------------------

    def to_snapshot(self) -> dict[str, Any]:
        """Instances and series as plain JSON values, without samples."""
        return {
            "tracks": [instance.to_json() for instance in self.instances.values()],
            "series": {
                name: evaluator.to_json()
                for name, (_, evaluator) in self._evaluators.items()
                if not evaluator.has_samples
            },
        }

    def samples_snapshot(self) -> dict[str, Any]:
        """The samples of rules that keep some, by rule, as plain JSON values."""
        return {
            name: evaluator.to_json()
            for name, (_, evaluator) in self._evaluators.items()
            if evaluator.has_samples
        }

    def restore(
        self, instances: Iterable[AlertInstance], series: Mapping[str, Any], *, away: float, now: float
    ) -> None:
        """Continue with `instances` and `series` after `away` seconds off (negative: it was stored on a time ahead)."""
        self.restore_series(series, now)
        self.instances = {instance.key: instance for instance in instances}
        for instance in list(self.instances.values()):
            if away < 0:
                instance.shift(away)
            if instance.state.phase is Phase.PENDING and not 0 <= away <= self.stale_seconds:
                del self.instances[instance.key]
            elif instance.state.phase is Phase.FIRING and _takes_time(self.rule(instance.rule)):
                instance.settled_at = now + SETTLE_SECONDS
            elif instance.state.phase is Phase.FIRING:
                self._stay_absent(instance)
        self._grace_until = now + self.stale_seconds

    def restore_series(self, series: Mapping[str, Any], now: float) -> None:
        """Continue with `series` of some rules, such as their samples."""
        for name, entries in series.items():
            if name in self._evaluators:
                self._evaluators[name][1].restore(entries, now)

    def _stay_absent(self, instance: AlertInstance) -> None:
        """What was absent before the restart is so until it is observed: only what was not waits anew."""
        rule, evaluator = self._evaluators.get(instance.rule, (None, None))
        if rule is not None and evaluator is not None and rule.condition.function.is_duration:
            target = target_of(instance.labels)
            if latest := evaluator.latest.get(target):
                since = instance.state.true_since - rule.condition.limit
                evaluator.latest[target] = dataclasses.replace(latest, at=min(latest.at, since))

    def memory_snapshot(self) -> list[dict[str, Any]]:
        """The history that anomaly rules need, as plain JSON values: large, and so saved seldom."""
        return [
            {"metric": metric, "labels": dict(target), **memory.to_snapshot()}
            for (metric, target), memory in self._memories.items()
        ]

    def restore_memory(self, snapshot: Iterable[Mapping[str, Any]]) -> None:
        """Take over what `memory_snapshot` returned. Raises KeyError, TypeError or ValueError if it is none."""
        self._memories = {
            (str(entry["metric"]), target_of(entry["labels"])): HourlyMemory.from_snapshot(entry)
            for entry in snapshot
        }


def _concerns(rule: Rule, labels: Labels) -> bool:
    return rule.condition.selector.items() <= labels.items()


def _takes_time(rule: Rule | None) -> bool:
    """Whether the rule is about a fault of a camera, which is only found some time after a start."""
    return rule is not None and rule.metric.unit == "state" and rule.metric.name.startswith("camera.")


def _beyond(rule: Rule, value: float, limit: float, firing: bool) -> bool:
    """Whether `value` is alarming; when firing, until it passes the clear value (which moves with the limit)."""
    if firing and rule.clear is not None:
        limit += rule.clear - rule.condition.limit
    return compare(value, rule.condition.comparison, limit)
