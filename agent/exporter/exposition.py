"""Converts the ledger and the metrics of `about` to the client library's metric families."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from agent.core.metrics.definition import MetricKind
from agent.core.printable import printable
from agent.exporter.about import About, own_values
from agent.exporter.catalogue import CATALOGUE, LATENCY_BUCKETS, ExportedMetric
from agent.exporter.ledger import Histogram, LabelTuple, Ledger

LONGEST_LABEL = 200


class AgentCollector(Collector):
    """Gives every metric of the catalogue that has a number now."""

    def __init__(self, ledger: Ledger, about: About) -> None:
        self._ledger, self._about = ledger, about

    def describe(self) -> Iterable[Metric]:
        """Nothing up front: what there is depends on the box."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The families, in the catalogue's order."""
        values = {**self._ledger.values(), **own_values(self._about)}
        values["vedette_exporter_series_left_out"] = {(): float(self._ledger.left_out)}
        latencies = self._ledger.latencies()
        for entry in CATALOGUE:
            if entry.kind is MetricKind.HISTOGRAM:
                yield histogram_family(entry, latencies)
            elif values.get(entry.name):
                yield family(entry, values[entry.name])


def registry_of(ledger: Ledger, about: About) -> CollectorRegistry:
    """Everything that is exported: the catalogue, and the client library's `process_*` of the agent."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(AgentCollector(ledger, about))
    ProcessCollector(registry=registry)
    return registry


def family(entry: ExportedMetric, numbers: Mapping[LabelTuple, float]) -> Metric:
    """One metric with all its series."""
    if entry.kind is MetricKind.INFO:
        info = InfoMetricFamily(entry.name, entry.help, labels=())
        for labels in numbers:
            info.add_metric((), dict(zip(entry.labels, _safe(labels), strict=True)))
        return info
    maker = CounterMetricFamily if entry.kind is MetricKind.COUNTER else GaugeMetricFamily
    made = maker(entry.name, entry.help, labels=entry.labels)
    for labels, value in numbers.items():
        made.add_metric(_safe(labels), value)
    return made


def histogram_family(entry: ExportedMetric, histograms: Mapping[LabelTuple, Histogram]) -> Metric:
    """Latencies: cumulative buckets, as Prometheus has them."""
    made = HistogramMetricFamily(entry.name, entry.help, labels=entry.labels)
    bounds = [*(str(bound) for bound in LATENCY_BUCKETS), "+Inf"]
    for labels, histogram in histograms.items():
        buckets = list(zip(bounds, histogram.counts.cumsum().tolist(), strict=True))
        made.add_metric(_safe(labels), buckets, sum_value=histogram.total)
    return made


def _safe(labels: LabelTuple) -> list[str]:
    """Values of labels that any page may show; half of a surrogate pair would end the whole exposition."""
    return [printable(value, LONGEST_LABEL) for value in labels]
