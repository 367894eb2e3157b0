"""Builds alerts, whole values, from an instance, its rule and an evaluation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from agent.alerts.alert_text import active_text, resolved_text
from agent.alerts.controls import Control
from agent.alerts.evaluators import RuleValue
from agent.alerts.instance import AlertInstance
from agent.alerts.rules import Rule
from agent.alerts.state_machine import Phase
from agent.core.counts import count
from agent.core.types import Alert, AlertEvent, AlertState


def active_alert(
    instance: AlertInstance,
    rule: Rule,
    evaluation: RuleValue,
    limit: float,
    *,
    also: Sequence[str],
    controls: Mapping[str, Any],
    now: float,
    event: AlertEvent,
    unix_offset: float,
) -> Alert:
    """A pending or firing alert at `now`; `also` names the other rules that fire in its group.

    `unix_offset` makes its times Unix time: an alert is labelled once, here.
    """
    since, now = min(instance.state.true_since, now) + unix_offset, now + unix_offset
    evaluation = _labelled(evaluation, unix_offset)
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
        advice=" ".join(filter(None, (rule.advice, evaluation.latest.advice))),
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
    evaluation: RuleValue | None,
    limit: float,
    *,
    controls: Mapping[str, Any],
    at: float,
    unix_offset: float,
) -> Alert:
    """The end of an alert that was published, at `at`."""
    assert instance.latest is not None
    since, at = min(instance.state.true_since, at) + unix_offset, at + unix_offset
    evaluation = _labelled(evaluation, unix_offset) if evaluation else None
    published = dataclasses.replace(instance.latest, first_seen=since)
    text = resolved_text(rule, published, evaluation, instance.reason, limit=limit, ended=at)
    return dataclasses.replace(
        published,
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


def repeated_alert(
    instance: AlertInstance,
    event: AlertEvent,
    *,
    controls: Mapping[str, Any],
    now: float,
    unix_offset: float,
) -> Alert | None:
    """What was published last, for a condition that cannot be evaluated now; None where nothing was."""
    if instance.latest is None:
        return None
    return dataclasses.replace(
        instance.latest,
        event=event,
        controls=controls,
        first_seen=min(instance.state.true_since, now) + unix_offset,
        changed_at=now + unix_offset,
    )


def control_to_json(control: Control, unix_offset: float) -> dict[str, Any]:
    """A control as an alert carries it: who, when, why, until; in Unix time."""
    labelled = control.labelled(unix_offset)
    entry = {"id": control.id, "who": control.who, "at": labelled.at, "why": control.why}
    if labelled.until is not None:
        entry["until"] = labelled.until
    return {**entry, "value": control.value} if control.value is not None else entry


def _labelled(evaluation: RuleValue, unix_offset: float) -> RuleValue:
    latest = dataclasses.replace(evaluation.latest, at=evaluation.latest.at + unix_offset)
    return dataclasses.replace(evaluation, latest=latest)


def _evidence(
    instance: AlertInstance, rule: Rule, evaluation: RuleValue, limit: float, also: Sequence[str]
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
