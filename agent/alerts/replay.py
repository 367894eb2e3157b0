"""Replay: the alerts that rules would have published for recorded observations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agent.alerts.engine import AlertEngine
from agent.alerts.evaluators import Target, target_of
from agent.alerts.rules import Rule
from agent.core.types import Alert, Observation

TICK_SECONDS = 10.0
LONGEST_GAP_SECONDS = 86400.0
"""Of a time in which nothing was recorded no more passes: the box was off, or its clock was set by years."""


def replay(
    rules: Sequence[Rule],
    observations: Iterable[Observation],
    *,
    since: float = 0.0,
    window_seconds: float = 60.0,
) -> list[Alert]:
    """The alerts from `since` on, oldest first; earlier observations only serve as history.

    `observations` come in any order; time passes in steps of TICK_SECONDS between them, LONGEST_GAP_SECONDS at most.
    """
    ordered = sorted(observations, key=lambda item: item.at)
    engine, alerts = AlertEngine(rules, window_seconds=window_seconds), []
    if not ordered:
        return []
    now, index = ordered[0].at, 0
    while index < len(ordered):
        if now - ordered[max(0, index - 1)].at >= LONGEST_GAP_SECONDS:
            now = max(now, ordered[index].at - TICK_SECONDS)
        now += TICK_SECONDS
        batch_end = index
        while batch_end < len(ordered) and ordered[batch_end].at <= now:
            batch_end += 1
        alerts += engine.step(ordered[index:batch_end], now)
        index = batch_end
    return [alert for alert in alerts if alert.changed_at >= since]


def unobserved(rules: Iterable[Rule], observations: Iterable[Observation]) -> list[Rule]:
    """The rules that could not fire: `observations` hold nothing of their metrics.

    Rules on states are left out: a state is only recorded while it is on.
    """
    recorded: dict[str, set[Target]] = {}
    for observation in observations:
        recorded.setdefault(observation.metric, set()).add(target_of(observation.labels))
    return [
        rule
        for rule in rules
        if rule.metric.unit != "state"
        and not any(
            rule.condition.selector.items() <= dict(target).items()
            for target in recorded.get(rule.condition.metric, ())
        )
    ]
