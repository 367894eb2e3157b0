"""Replay: what rules would have told of observations that were recorded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agent.alerts.engine import AlertEngine
from agent.alerts.rules import Rule
from agent.types import Alert, Observation

TICK_SECONDS = 10.0


def replay(
    rules: Sequence[Rule],
    observations: Iterable[Observation],
    *,
    since: float = 0.0,
    window_seconds: float = 60.0,
) -> list[Alert]:
    """What would have been told from `since` on (earlier observations only teach), oldest first.

    `observations` come in any order; time passes in steps of TICK_SECONDS between them.
    """
    ordered = sorted(observations, key=lambda item: item.at)
    engine, told = AlertEngine(rules, window_seconds=window_seconds), []
    if not ordered:
        return []
    now, index = ordered[0].at, 0
    while index < len(ordered):
        now += TICK_SECONDS
        batch_end = index
        while batch_end < len(ordered) and ordered[batch_end].at <= now:
            batch_end += 1
        told += engine.step(ordered[index:batch_end], now)
        index = batch_end
    return [alert for alert in told if alert.changed_at >= since]
