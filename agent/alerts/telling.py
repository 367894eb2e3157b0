"""Telling: an alert as a whole value, made of a track, a rule and a reading."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from agent.alerts.alert_text import active_text, resolved_text
from agent.alerts.controls import Control
from agent.alerts.evaluators import Evaluation
from agent.alerts.rules import Rule
from agent.alerts.state_machine import Phase
from agent.alerts.track import Track
from agent.core.counts import count
from agent.core.types import Alert, AlertEvent, AlertState


def standing(
    track: Track,
    rule: Rule,
    reading: Evaluation,
    limit: float,
    *,
    also: Sequence[str],
    controls: Mapping[str, Any],
    now: float,
    event: AlertEvent,
) -> Alert:
    """A pending or firing alert as it stands at `now`; `also` names what else fires in its group."""
    since = min(track.state.true_since, now)
    said = active_text(rule, track.labels, reading, limit, since=since, now=now)
    return Alert(
        id=track.id,
        rule=rule.name,
        state=AlertState.FIRING if track.state.phase is Phase.FIRING else AlertState.PENDING,
        severity=rule.severity,
        labels=track.labels,
        what=said.what,
        expected=said.expected,
        window=said.window,
        advice=rule.advice,
        first_seen=since,
        changed_at=now,
        value=reading.latest.value,
        evidence={**_evidence(track, rule, reading, limit, also), **reading.latest.evidence},
        event=event,
        controls=controls,
        runbook=rule.runbook,
    )


def resolved(
    track: Track,
    rule: Rule | None,
    reading: Evaluation | None,
    limit: float,
    *,
    controls: Mapping[str, Any],
    at: float,
) -> Alert:
    """The end of an alert that was told."""
    assert track.told is not None
    said = resolved_text(rule, track.told, reading, track.reason, limit=limit, ended=at)
    return dataclasses.replace(
        track.told,
        state=AlertState.RESOLVED,
        what=said.what,
        expected=said.expected,
        window=said.window,
        advice="",
        changed_at=at,
        value=reading.latest.value if reading else None,
        event=AlertEvent.RESOLVED,
        controls=controls,
    )


def retold(told: Alert, event: AlertEvent, controls: Mapping[str, Any], now: float) -> Alert:
    """What was told before, while it cannot be judged anew."""
    return dataclasses.replace(told, event=event, controls=controls, changed_at=now)


def shown(control: Control) -> dict[str, Any]:
    """Who, when, why, until: a control as an alert carries it."""
    told = {"id": control.id, "who": control.who, "at": control.at, "why": control.why}
    if control.until is not None:
        told["until"] = control.until
    return {**told, "value": control.value} if control.value is not None else told


def _evidence(
    track: Track, rule: Rule, reading: Evaluation, limit: float, also: Sequence[str]
) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "metric": rule.metric.name,
        "condition": rule.shown_condition(),
        "limit": limit,
        "judged": round(reading.value, 6),
        **rule.condition.function.evidence(reading),
    }
    if track.state.flapping():
        facts["flapping"] = f"fired {count(len(track.state.fires), 'time')} within the last hour"
    return facts | ({"also": list(also)} if also else {})
