"""What is exported: names by Prometheus' conventions, and nothing that is measured is forgotten."""

import re
from pathlib import Path

import pytest

from agent.alerts.metrics import METRICS
from agent.core.metrics.definition import MetricKind
from agent.core.types import CameraState
from agent.exporter.catalogue import CATALOGUE, LATENCY_BUCKETS, find
from agent.features import FEATURES
from agent.telemetry.probes.host import HostProbe
from agent.telemetry.probes.tegra import TegraProbe
from agent.telemetry.sampler import observations
from tests.exporter.conftest import LEFT_OUT

ROOT = Path(__file__).parents[2]


def exported(metric):
    return find(metric) is not None or LEFT_OUT.fullmatch(metric) is not None


def test_names_follow_the_conventions():
    names = [entry.name for entry in CATALOGUE]
    assert len(set(names)) == len(names)
    for entry in CATALOGUE:
        assert re.fullmatch(r"vedette_[a-z0-9_]+", entry.name)
        assert entry.help.endswith(".")
        assert (entry.kind is MetricKind.COUNTER) == entry.name.endswith("_total"), entry.name
        for word in ("milliseconds", "_ms", "_percent", "_mb", "_kb"):
            assert word not in entry.name
        assert "instance" not in entry.labels or "mig" in entry.name, "Prometheus sets that label itself"
        assert not {"job", "le", "quantile"} & set(entry.labels)


@pytest.mark.parametrize(
    ("metric", "name", "labels"),
    [
        (
            "camera.latency_p99_seconds",
            "vedette_camera_window_latency_seconds",
            {"stage": "total", "rank": "p99"},
        ),
        (
            "camera.decode_max_seconds",
            "vedette_camera_window_latency_seconds",
            {"stage": "decode", "rank": "max"},
        ),
        ("camera.detections_traffic_light", "vedette_camera_detections_total", {"class": "traffic_light"}),
        ("camera.detections_per_frame", "vedette_camera_detections_per_frame", {}),
        ("camera.bad_timestamps", "vedette_camera_state", {"state": "bad_timestamps"}),
        ("host.disk_free_bytes", "vedette_host_disk_free_bytes", {"disk": "state"}),
        ("host.root_disk_free_bytes", "vedette_host_disk_free_bytes", {"disk": "root"}),
        ("host.temperature_celsius", "vedette_host_temperature_celsius", {}),
        ("host.temperature_cpu_celsius", "vedette_host_sensor_temperature_celsius", {"sensor": "cpu"}),
        ("gpu.mig_2_memory_used_bytes", "vedette_gpu_mig_memory_used_bytes", {"instance": "2"}),
        ("drift.ratio", "vedette_camera_drift_ratio", {}),
    ],
)
def test_an_observation_finds_its_metric(metric, name, labels):
    entry, found = find(metric)
    assert entry.name == name
    assert dict(found) == labels
    assert set(labels) <= set(entry.labels)


def test_every_metric_that_rules_know_is_exported():
    left = [name for name in METRICS if not exported(name)]
    assert not left, f"give them a line in agent/core/metrics and docs/metrics.md: {left}"


def test_every_state_and_feature_is_exported():
    assert all(find(f"camera.{state.value}") for state in CameraState)
    assert all(exported(f"camera.feature_{name}_mean") for name in FEATURES)


def test_everything_that_this_host_tells_is_exported(tmp_path):
    probe = HostProbe(tmp_path)
    probe.open()
    probe.read()
    seen = [
        one.metric for reading in probe.read() for one in observations(reading.entity, reading.values, 0.0)
    ]
    assert len(seen) > 10
    assert [name for name in seen if not exported(name)] == []


@pytest.mark.parametrize("board", ["orin", "xavier", "thor"])
def test_everything_that_a_jetson_tells_is_exported(board):
    probe = TegraProbe(ROOT / "tests/telemetry/trees" / board)
    probe.open()
    seen = [
        one.metric for reading in probe.read() for one in observations(reading.entity, reading.values, 0.0)
    ]
    assert [name for name in seen if not exported(name)] == []


def test_buckets_rise():
    assert list(LATENCY_BUCKETS) == sorted(set(LATENCY_BUCKETS))
