"""The exposition stays one, whatever a class or a camera is called."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from agent.core.metrics.definition import MetricKind
from agent.exporter.catalogue import CATALOGUE
from agent.exporter.exposition import family


class One:
    def __init__(self, made):
        self.made = made

    def describe(self):
        return []

    def collect(self):
        yield self.made


@pytest.mark.parametrize("kind", [MetricKind.GAUGE, MetricKind.COUNTER, MetricKind.INFO])
@pytest.mark.parametrize("name", ['a"\n\\x 1\n# HELP', "\x1b]52;c;x\x07", "\ud800", "<script>", "x" * 5000])
def test_a_hostile_name_is_one_value_of_one_label(kind, name):
    entry = next(entry for entry in CATALOGUE if entry.labels and entry.kind is kind)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(One(family(entry, {tuple(name for _ in entry.labels): 1.0})))
    text = generate_latest(registry).decode()
    (metric,) = text_string_to_metric_families(text)
    assert len(metric.samples) == 1
    assert all(sign.isprintable() or sign == "\n" for sign in text)
    assert max(len(value) for value in metric.samples[0].labels.values()) < 250
