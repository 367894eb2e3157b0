"""The sentences of an alert: what happened, what was expected, over which time; its evidence and journal line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from agent.alerts.evaluators import FUNCTIONS, Finding, RuleValue
from agent.alerts.metrics import unlisted
from agent.alerts.rules import Rule
from agent.alerts.words import clock, duration, quantity, span, subject
from agent.core.counts import figures
from agent.core.printable import printable
from agent.core.types import Alert, AlertEvent, Labels

LONGEST_SENTENCE = 1000
_SHORTEST_SPAN = 1.0  # seconds; a condition that holds for less is dated by one time


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertText:
    """The sentences of one alert."""

    what: str
    expected: str
    window: str

    def __post_init__(self) -> None:
        """Hold printable text alone: names of classes and what cameras and servers answer come from outside."""
        for name in ("what", "expected", "window"):
            object.__setattr__(self, name, printable(getattr(self, name), LONGEST_SENTENCE))


def active_text(
    rule: Rule, labels: Labels, evaluation: RuleValue, limit: float, *, since: float, now: float
) -> AlertText:
    """The sentences of an alert of `rule` whose condition is true since `since`, with `limit` in force."""
    what, expected = rule.condition.function.sentences(_finding(rule, labels, evaluation, limit))
    return AlertText(what=what, expected=expected, window=_window(rule, evaluation, since, now))


def _finding(rule: Rule, labels: Labels, evaluation: RuleValue, limit: float) -> Finding:
    return Finding(
        subject=subject(labels) or rule.metric.name.partition(".")[0],
        condition=rule.condition,
        metric=rule.metric,
        evaluation=evaluation,
        limit=limit,
        clear=rule.clear,
    )


def _window(rule: Rule, evaluation: RuleValue, since: float, now: float) -> str:
    window = evaluation.latest.evidence.get("window")
    if isinstance(window, str) and window:
        return window
    if window := rule.condition.function.window(evaluation, now):
        return window
    if now - since < _SHORTEST_SPAN:
        return f"at {clock(now)}"
    return f"over {span(since, now)}, for {duration(now - since)}"


def resolved_text(
    rule: Rule | None,
    published: Alert,
    evaluation: RuleValue | None,
    reason: str,
    *,
    limit: float,
    ended: float,
) -> AlertText:
    """The sentences of the end of `published`; `reason` where it ended for another cause than its value.

    `limit` is the one in force now, which people may have changed since.
    """
    lasted = f"over {span(published.first_seen, ended)}, lasted {duration(ended - published.first_seen)}"
    if reason or rule is None or evaluation is None:
        what = f"{published.what} (over: {reason or 'no longer evaluated'})"
        return AlertText(what=what, expected=published.expected, window=lasted)
    finding, function = _finding(rule, published.labels, evaluation, limit), rule.condition.function
    what = _resolved(rule, finding)
    return AlertText(what=what, expected=function.sentences(finding)[1], window=lasted)


def _resolved(rule: Rule, finding: Finding) -> str:
    if finding.evaluation.latest.ended:
        return f"{finding.subject}: {finding.evaluation.latest.ended}"
    if rule.metric.unit == "state":
        return _state_resolved(finding)
    return rule.condition.function.resolved(finding)


def _state_resolved(finding: Finding) -> str:
    words = finding.metric.words
    if not words.startswith("is "):
        return f"{finding.subject} is as expected again"
    verb = "no longer" if finding.condition.comparison in {">", ">="} else "again"
    return f"{finding.subject} is {verb} {words.removeprefix('is ')}"


_IN_SENTENCE = frozenset({"metric", "condition", "limit", "judged", "window"})
_MOST_EVIDENCE = 12


def page_command(rule: str) -> str:
    """The command that prints the page of `rule` on the box: it works where a link does not."""
    return f"vedette rules show {rule}"


def evidence_lines(evidence: Mapping[str, Any]) -> list[str]:
    """The numbers behind an alert that its sentences do not contain: single ones in one line, then a line for each of
    several things (the features that drifted).

    >>> evidence_lines({"limit": 5, "wait_p99_seconds": 0.02, "hour": 14})
    ['wait p99 20 ms, hour 14']
    >>> evidence_lines({"features": {"sharpness": {"ratio": 1.5, "now_p10_p50_p90": [31, 35, 41]}}})
    ['sharpness: ratio 1.5, now p10 p50 p90 31/35/41']
    """
    in_sentence = _in_sentence()
    single: list[str] = []
    lines: list[str] = []
    for key, value in evidence.items():
        if key in in_sentence or value is None:
            continue
        if isinstance(value, Mapping) and all(isinstance(item, Mapping) for item in value.values()):
            lines += [f"{name.replace('_', ' ')}: {_plain(item)}" for name, item in value.items()]
        else:
            single.append(_fact(key, value))
    left = len(lines) - _MOST_EVIDENCE
    lines = lines if left <= 0 else [*lines[:_MOST_EVIDENCE], f"and {left} more"]
    return [printable(line, LONGEST_SENTENCE) for line in ([", ".join(single), *lines] if single else lines)]


@lru_cache(maxsize=1)
def _in_sentence() -> frozenset[str]:
    return _IN_SENTENCE.union(*(FUNCTIONS.load(name).evidence_in_sentence for name in FUNCTIONS))


def _fact(key: str, value: object) -> str:
    if isinstance(value, float):
        named = unlisted(f"evidence.{key}")
        return f"{named.words} {quantity(value, named.unit)}"
    return f"{key.replace('_', ' ')} {_plain(value)}"


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(_fact(str(key), item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        between = ", " if any(isinstance(item, str) for item in value) else "/"
        return between.join(_plain(item) for item in value)
    if isinstance(value, float):
        return figures(value)
    return str(value)


_BY_PEOPLE = {
    AlertEvent.ACKNOWLEDGED: "acknowledged",
    AlertEvent.SNOOZED: "snoozed",
    AlertEvent.UNDONE: "undone",
}
"""The events that people make, and the key of the control that says who; an alert may carry other controls besides."""


def journal_line(alert: Alert) -> str:
    """One line for the journal: what, expected, since when, what to do, and the id to acknowledge it by."""
    if alert.event is AlertEvent.RESOLVED:
        return f"resolved: {alert.what} ({alert.window}) [{alert.id}]"
    verb = {
        AlertEvent.FIRED: alert.severity.value.upper(),
        AlertEvent.REMINDER: f"{alert.severity.value.upper()} still",
        AlertEvent.UPDATED: f"{alert.severity.value.upper()} updated",
        AlertEvent.ACKNOWLEDGED: "acknowledged",
        AlertEvent.SNOOZED: "snoozed",
        AlertEvent.UNDONE: f"{alert.controls.get('undone', {}).get('kind', 'control')} undone",
    }[alert.event]
    by = _by(alert.controls.get(_BY_PEOPLE[alert.event], {})) if alert.event in _BY_PEOPLE else ""
    advice = f". {alert.advice}" if alert.advice else ""
    return f"{verb}{by}: {alert.what} (expected {alert.expected}; {alert.window}){advice} [{alert.id}]"


def _by(control: Mapping[str, Any]) -> str:
    why = f", {control['why']}" if control.get("why") else ""
    return f" by {control.get('who', '?')}{why}"
