"""Builds alerts, whole values, from an instance, its rule and an evaluation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from agent.alerts.alert_text import active_text, resolved_text
from agent.alerts.controls import Control
from agent.alerts.evaluators import Evaluation
from agent.alerts.instance import AlertInstance
from agent.alerts.rules import Rule
from agent.alerts.state_machine import Phase
from agent.core.counts import count
from agent.core.types import Alert, AlertEvent, AlertState


def active_alert(
    instance: AlertInstance,
    rule: Rule,
    evaluation: Evaluation,
    limit: float,
    *,
    also: Sequence[str],
    controls: Mapping[str, Any],
    now: float,
    event: AlertEvent,
) -> Alert:
    """A pending or firing alert at `now`; `also` names the other rules that fire in its group."""
    since = min(instance.state.true_since, now)
    text = active_text(rule, instance.labels, evaluation, limit, since=since, now=now)
    return Alert(
        id=instance.id,
        rule=rule.name,
        state=AlertState.FIRING if instance.state.phase is Phase.FIRING else AlertState.PENDING,
        severity=rule.severity,
        labels=instance.labels,
        what=text.what,
        expected=text.expected,
        window=text.window,
        advice=rule.advice,
        first_seen=since,
        changed_at=now,
        value=evaluation.latest.value,
        evidence={**_evidence(instance, rule, evaluation, limit, also), **evaluation.latest.evidence},
        event=event,
        controls=controls,
        runbook=rule.runbook,
    )


def resolved_alert(
    instance: AlertInstance,
    rule: Rule | None,
    evaluation: Evaluation | None,
    limit: float,
    *,
    controls: Mapping[str, Any],
    at: float,
) -> Alert:
    """The end of an alert that was published."""
    assert instance.latest is not None
    text = resolved_text(rule, instance.latest, evaluation, instance.reason, limit=limit, ended=at)
    return dataclasses.replace(
        instance.latest,
        state=AlertState.RESOLVED,
        what=text.what,
        expected=text.expected,
        window=text.window,
        advice="",
        changed_at=at,
        value=evaluation.latest.value if evaluation else None,
        event=AlertEvent.RESOLVED,
        controls=controls,
    )


def repeated_alert(latest: Alert, event: AlertEvent, controls: Mapping[str, Any], now: float) -> Alert:
    """What was published last, for a condition that cannot be evaluated now."""
    return dataclasses.replace(latest, event=event, controls=controls, changed_at=now)


def control_to_json(control: Control) -> dict[str, Any]:
    """A control as an alert carries it: who, when, why, until."""
    entry = {"id": control.id, "who": control.who, "at": control.at, "why": control.why}
    if control.until is not None:
        entry["until"] = control.until
    return {**entry, "value": control.value} if control.value is not None else entry


def _evidence(
    instance: AlertInstance, rule: Rule, evaluation: Evaluation, limit: float, also: Sequence[str]
) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "metric": rule.metric.name,
        "condition": rule.shown_condition(),
        "limit": limit,
        "judged": round(evaluation.value, 6),
        **rule.condition.function.evidence(evaluation),
    }
    if instance.state.flapping():
        facts["flapping"] = f"fired {count(len(instance.state.fires), 'time')} within the last hour"
    return facts | ({"also": list(also)} if also else {})
