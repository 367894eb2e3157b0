"""The metrics as rules know them, read from the one catalogue: words, unit, and the cause their alerts belong to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.core.metrics.catalogue import CATALOGUE
from agent.core.metrics.definition import Alerting, Unit, unit_of


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleMetric:
    """One number that rules may speak of.

    `words` completes "camera front: ..."; `cause` groups alerts: of one target and cause one is published. `expected`
    says what a state should be instead.
    """

    name: str
    words: str
    unit: Unit
    cause: str
    expected: str = ""


def _listed(name: str, known: Alerting) -> RuleMetric:
    return RuleMetric(
        name=name, words=known.words, unit=known.unit, cause=known.cause, expected=known.expected
    )


METRICS: Mapping[str, RuleMetric] = {
    name: _listed(name, known) for metric in CATALOGUE if metric.listed for name, known in metric.names()
}

_OPEN = [
    (metric.pattern(), metric.alerting.cause) for metric in CATALOGUE if metric.alerting and not metric.listed
]
"""Metrics of which not every name is known: a class of the model, a sensor of this box."""

_CAUSES = {
    "camera": "scene",
    "host": "load",
    "gpu": "load",
    "drift": "drift",
    "outbox": "outbox",
    "broker": "broker",
}
"""The cause of a metric that the catalogue does not have, by its entity."""


def find(name: str, extra: Iterable[str] = ()) -> RuleMetric | None:
    """The metric `name`: listed, of an open family (`camera.detections_CLASS`), or among `extra` names."""
    if name in METRICS:
        return METRICS[name]
    cause = next((cause for pattern, cause in _OPEN if pattern.fullmatch(name)), None)
    if cause is None and name not in set(extra):
        return None
    return unlisted(name, cause)


def unlisted(name: str, cause: str | None = None) -> RuleMetric:
    """A metric known by its name alone: unit by suffix, words by its last part."""
    entity, _, field = name.partition(".")
    suffix, unit = unit_of(name)
    words = field.removesuffix(suffix).replace("_", " ")
    if entity == "drift" and suffix == "_ratio":
        words, unit = f"drift of {words}", "times"
    if field.startswith("detections_"):
        words, unit = f"detections of {words.removeprefix('detections ')}", "count"
    return RuleMetric(name=name, words=words, unit=unit, cause=cause or _CAUSES.get(entity, entity))
