"""The metrics as Prometheus gets them, read from the one catalogue: name, help, labels, and their observations. Pure.

Names follow Prometheus: base units, `_total` for what only grows, the prefix `vedette_`. What has no observation the
agent makes itself (`agent.exporter.ledger`, `agent.exporter.exposition`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from agent.core.metrics import catalogue
from agent.core.metrics.definition import Export, Metric, MetricKind, ValidFor

LATENCY_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds. Three to a decade: a quantile read from them is right to within a factor of about two."""

_ENTITY_LABELS: Mapping[str, tuple[str, ...]] = {"camera": ("camera",), "drift": ("camera",), "gpu": ("gpu",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedMetric:
    """One metric. `labels` in the order they are documented."""

    name: str
    help: str
    kind: MetricKind
    labels: tuple[str, ...]
    valid: ValidFor


def _exported(metric: Metric, export: Export) -> ExportedMetric:
    entity = metric.name.partition(".")[0]
    return ExportedMetric(
        name=f"vedette_{export.name}",
        help=export.help,
        kind=export.kind,
        labels=(*_ENTITY_LABELS.get(entity, ()), *metric.labels, *export.labels),
        valid=export.valid,
    )


_PAIRS = [(metric, _exported(metric, metric.export)) for metric in catalogue.CATALOGUE if metric.export]

CATALOGUE: tuple[ExportedMetric, ...] = tuple(exported for _, exported in _PAIRS)

_SOURCES = [(metric.pattern(), metric, exported) for metric, exported in _PAIRS if metric.name]


@lru_cache(maxsize=4096)
def find(metric: str) -> tuple[ExportedMetric, tuple[tuple[str, str], ...]] | None:
    """The metric that the observations `metric` are exported as, and the labels that its name holds."""
    for pattern, entry, exported in _SOURCES:
        match = pattern.fullmatch(metric)
        if match:
            found = match.groupdict().items()
            return exported, tuple((label, entry.exported_label(label, value)) for label, value in found)
    return None
