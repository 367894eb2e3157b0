"""The watch: every rule on every target it was observed for, judged; what it ends, it hands to its owner."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from agent.alerts import words
from agent.alerts.evaluators import Evaluation, Evaluator, Series, Target, compare, target_of
from agent.alerts.grouping import CameraFaults
from agent.alerts.hourly_memory import HourlyMemory
from agent.alerts.rules import Rule
from agent.alerts.state_machine import HoldTimes, Phase, Transition, advance
from agent.alerts.track import Track, TrackKey
from agent.core.types import Labels, Observation

MOST_TRACKS = 20_000
MOST_MEMORIES = 1_000  # each takes 32 kB when full
SETTLE_SECONDS = 60.0  # a camera needs this long after a start to be found down, frozen, black, ... again

LimitOf = Callable[[Rule, Labels], float]
OnEnd = Callable[[Track, Rule | None, Evaluation | None, float], None]  # track, rule, reading, at


class Watch:
    """Holds rules, tracks and what is remembered of series; memory is bounded, `refused` counts the rest.

    `limit_of` says the limit of a rule on a target, `on_end` hears of each track that was firing and ended.
    `stale_seconds` is how long a value counts as fresh, `linger_seconds` how long a fault explains others;
    `metrics` are the names that were observed.
    """

    def __init__(
        self, *, stale_seconds: float, linger_seconds: float, limit_of: LimitOf, on_end: OnEnd
    ) -> None:
        self.stale_seconds = stale_seconds
        self.faults = CameraFaults(linger_seconds)
        self.tracks: dict[TrackKey, Track] = {}
        self.refused = 0
        self.metrics: set[str] = set()
        self._limit_of, self._on_end = limit_of, on_end
        self._memories: dict[tuple[str, Target], HourlyMemory] = {}
        self._judges: dict[str, tuple[Rule, Evaluator]] = {}
        self._by_metric: dict[str, list[tuple[Rule, Evaluator]]] = {}
        self._history_metrics: frozenset[str] = frozenset()
        self._grace_until = -math.inf

    def set_rules(self, rules: Sequence[Rule]) -> None:
        """Judge by `rules` from now on; alerts of rules that are gone resolve at the next step."""
        before = self._judges
        self._judges = {
            rule.name: before[rule.name]
            if rule.name in before and before[rule.name][0] == rule
            else (rule, self._new_evaluator(rule))
            for rule in rules
        }
        self._drop_pending([name for name, (rule, _) in before.items() if self._differs(name, rule)])
        self._by_metric = {}
        for rule, judge in self._judges.values():
            self._by_metric.setdefault(rule.condition.metric, []).append((rule, judge))
            old = before.get(rule.name, (None, judge))[1]
            if old is not judge and old.series.condition.metric == rule.condition.metric:
                for target, latest in old.latest.items():
                    if _concerns(rule, latest.labels):
                        judge.observe(target, latest)
        self._history_metrics = frozenset(
            rule.condition.metric for rule in rules if rule.condition.function.uses_history
        )

    def _new_evaluator(self, rule: Rule) -> Evaluator:
        metric = rule.condition.metric
        series = Series(
            condition=rule.condition,
            metric=rule.metric,
            stale_seconds=self.stale_seconds,
            history=lambda target: self._memories.get((metric, target)),
        )
        return rule.condition.function.evaluator(series)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules judged by."""
        return tuple(rule for rule, _ in self._judges.values())

    def _differs(self, name: str, rule: Rule) -> bool:
        new = self.rule(name)
        return new is not None and new.condition != rule.condition

    def _drop_pending(self, names: Iterable[str]) -> None:
        """How long another condition held says nothing of the one that a rule has now."""
        for key, track in list(self.tracks.items()):
            if track.rule in names and track.state.phase is Phase.PENDING:
                del self.tracks[key]

    def forget(self, labels: Labels, now: float) -> None:
        """Targets with these labels (a camera that was removed) are gone, with all that was known of them."""
        for _, judge in self._judges.values():
            for target in [known for known in judge.latest if labels.items() <= dict(known).items()]:
                judge.remove(target)
        for key, track in list(self.tracks.items()):
            if labels.items() <= track.labels.items():
                self._drop(self.tracks.pop(key), "no longer watched", now)
        self._memories = {
            key: memory
            for key, memory in self._memories.items()
            if not labels.items() <= dict(key[1]).items()
        }
        self.faults.forget(labels.get("camera", ""))

    def rule(self, name: str) -> Rule | None:
        """The rule of that name."""
        return self._judges[name][0] if name in self._judges else None

    def read(self, track: Track, now: float) -> Evaluation | None:
        """What the rule of `track` comes to at `now`; None where that is not known or not alarming (any more)."""
        if track.rule not in self._judges:
            return None
        rule, judge = self._judges[track.rule]
        reading = judge.evaluate(target_of(track.labels), now)
        limit = self._limit_of(rule, track.labels)
        firing = track.state.phase is Phase.FIRING
        return reading if reading is not None and _beyond(rule, reading.value, limit, firing) else None

    def unseen(self) -> list[Rule]:
        """The rules that nothing was observed for yet: they cannot fire."""
        return [rule for rule, judge in self._judges.values() if not judge.latest]

    def firing(self) -> list[tuple[Track, Rule]]:
        """The tracks that fire, with their rules."""
        return [
            (track, self._judges[track.rule][0])
            for track in self.tracks.values()
            if track.state.phase is Phase.FIRING and track.rule in self._judges
        ]

    # -- judging ----------------------------------------------------------------------------------------

    def observe(self, observation: Observation, at: float) -> None:
        """Take note of an observation made at `at`, and judge by it."""
        if len(self.metrics) < MOST_TRACKS:
            self.metrics.add(observation.metric)
        self.faults.see(observation.metric, observation.labels, observation.value, at)
        judged = self._by_metric.get(observation.metric)
        if not judged or not math.isfinite(observation.value):
            return
        target = target_of(observation.labels)
        if observation.metric in self._history_metrics:
            self._remember(observation, target, at)
        for rule, judge in judged:
            if _concerns(rule, observation.labels):
                if target not in judge.latest and len(judge.latest) >= MOST_TRACKS:
                    self.refused += 1
                    continue
                judge.observe(target, observation)
                self._judge(rule, judge, target, at)

    def _remember(self, observation: Observation, target: Target, at: float) -> None:
        key = observation.metric, target
        if key not in self._memories:
            if len(self._memories) >= MOST_MEMORIES:
                self.refused += 1
                return
            self._memories[key] = HourlyMemory()
        self._memories[key].add(observation.value, at)

    def tick(self, now: float) -> None:
        """Judge what changes by time alone; forget what is over."""
        for name, target in list(self.tracks):
            if name in self._judges:
                self._judge(*self._judges[name], target, now)
            else:
                self._drop(self.tracks.pop((name, target)), "the rule is gone", now)
        for rule, judge in self._judges.values():
            if rule.condition.function.is_duration:
                for target in judge.latest:
                    self._judge(rule, judge, target, now)
        for key in [key for key, track in self.tracks.items() if track.state.idle]:
            del self.tracks[key]

    def _drop(self, track: Track, reason: str, now: float) -> None:
        if track.state.phase is Phase.FIRING:
            track.reason = reason
            self._on_end(track, self.rule(track.rule), None, now)

    def _judge(self, rule: Rule, judge: Evaluator, target: Target, at: float) -> None:
        track = self.tracks.get((rule.name, target))
        reading = judge.evaluate(target, at)
        if reading is None and track is not None and at < self._grace_until:
            return  # after a restart: not observed again yet
        firing = track is not None and track.state.phase is Phase.FIRING
        limit = self._limit_of(rule, dict(target))
        true = reading is not None and _beyond(rule, reading.value, limit, firing)
        if not true and track is not None and at < track.settled_at:
            return  # after a restart: a camera's fault takes its time to be seen
        if track is None:
            track = self._new_track(rule, target) if true else None
            if track is None:
                return
        was = track.state.phase
        timing = HoldTimes(hold=rule.hold, keep_firing=rule.keep_firing)
        track.state, change = advance(track.state, true, at, timing)
        if was is Phase.INACTIVE and track.state.phase is not Phase.INACTIVE:
            track.begin()
        if change is Transition.RESOLVED:
            if reading is None:
                track.reason = f"no data for {words.duration(self.stale_seconds)}"
            self._on_end(track, rule, reading, at)
            track.reason = ""

    def _new_track(self, rule: Rule, target: Target) -> Track | None:
        if len(self.tracks) >= MOST_TRACKS:
            self.refused += 1
            return None
        track = self.tracks[rule.name, target] = Track(rule=rule.name, labels=dict(target))
        return track

    def shift(self, seconds: float) -> None:
        """The clock was set forward by `seconds`."""
        for track in self.tracks.values():
            track.shift(seconds)
        for _, judge in self._judges.values():
            judge.shift(seconds)
        self.faults.shift(seconds)
        self._grace_until += seconds

    # -- over a restart ---------------------------------------------------------------------------------

    def to_snapshot(self) -> dict[str, Any]:
        """Tracks and series as plain JSON values."""
        return {
            "tracks": [track.to_json() for track in self.tracks.values()],
            "series": {name: judge.to_json() for name, (_, judge) in self._judges.items()},
        }

    def restore(self, tracks: Iterable[Track], series: Mapping[str, Any], *, away: float, now: float) -> None:
        """Go on with `tracks` and `series` after `away` seconds off (negative: the clock was set back)."""
        for name, entries in series.items():
            if name in self._judges:
                self._judges[name][1].restore(entries, now)
        self.tracks = {track.key: track for track in tracks}
        for track in list(self.tracks.values()):
            if away < 0:
                track.shift(away)
            if track.state.phase is Phase.PENDING and not 0 <= away <= self.stale_seconds:
                del self.tracks[track.key]
            elif track.state.phase is Phase.FIRING and _takes_time(self.rule(track.rule)):
                track.settled_at = now + SETTLE_SECONDS
        self._grace_until = now + self.stale_seconds

    def memory_snapshot(self) -> list[dict[str, Any]]:
        """What anomaly rules remember, as plain JSON values: large, and saved seldom."""
        return [
            {"metric": metric, "labels": dict(target), **memory.to_snapshot()}
            for (metric, target), memory in self._memories.items()
        ]

    def restore_memory(self, snapshot: Iterable[Mapping[str, Any]]) -> None:
        """Remember what `memory_snapshot` wrote. Raises KeyError, TypeError or ValueError if it is none."""
        self._memories = {
            (str(entry["metric"]), target_of(entry["labels"])): HourlyMemory.from_snapshot(entry)
            for entry in snapshot
        }


def _concerns(rule: Rule, labels: Labels) -> bool:
    return rule.condition.selector.items() <= labels.items()


def _takes_time(rule: Rule | None) -> bool:
    """Whether what the rule is about is only seen some time after a start: a fault of a camera."""
    return rule is not None and rule.metric.unit == "state" and rule.metric.name.startswith("camera.")


def _beyond(rule: Rule, value: float, limit: float, firing: bool) -> bool:
    """Whether `value` is alarming; once firing, until the clear value is passed (it moves with the limit)."""
    if firing and rule.clear is not None:
        limit += rule.clear - rule.condition.limit
    return compare(value, rule.condition.comparison, limit)
