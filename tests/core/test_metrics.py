"""The catalogue of metrics: its entries hold together, and each fact is read from it."""

import re
from dataclasses import fields

import pytest

from agent.alerts import metrics as rules
from agent.core.camera_states import CONTENT_FAULTS, STATES
from agent.core.metrics.catalogue import CATALOGUE, merge_of
from agent.core.metrics.definition import Alerting, Export, LabelValue, Merge, Metric, MetricKind
from agent.core.stages import STAGES
from agent.core.types import CameraState, StageSeconds
from agent.delivery.verify.schemas import schema

DISK = Metric(
    "host.{disk}used_bytes",
    Alerting("{disk}disk in use", "disk"),
    Export("host_used_bytes", "Used."),
    labels={
        "disk": {
            "": LabelValue(words="", exported="state"),
            "root_": LabelValue(words="system ", exported="root"),
        }
    },
)


def test_a_metric_with_a_table_of_labels_stands_for_each_of_its_names():
    assert dict(DISK.names()) == {
        "host.used_bytes": Alerting("disk in use", "disk", "bytes"),
        "host.root_used_bytes": Alerting("system disk in use", "disk", "bytes"),
    }
    assert DISK.pattern().fullmatch("host.root_used_bytes")["disk"] == "root_"
    assert DISK.exported_label("disk", "") == "state"
    assert DISK.pattern().fullmatch("hostXused_bytes") is None, "a dot is a dot"


def test_a_counter_is_known_by_its_name():
    assert Export("frames_total", "Frames.").kind is MetricKind.COUNTER
    assert Export("frames", "Frames.").kind is MetricKind.GAUGE


def test_no_two_metrics_share_a_name():
    names = [metric.name for metric in CATALOGUE if metric.name]
    assert len(set(names)) == len(names)
    listed = [name for metric in CATALOGUE if metric.listed for name, _ in metric.names()]
    assert len(set(listed)) == len(listed)


def test_every_entry_is_of_use():
    for metric in CATALOGUE:
        assert metric.alerting or metric.export, metric
        assert metric.name or metric.export, metric
        assert set(re.findall(r"\{(\w+)\}", metric.name)) == set(metric.labels), metric


def test_every_name_that_rules_know_is_found_by_its_entry():
    for name, metric in rules.METRICS.items():
        assert [entry for entry in CATALOGUE if entry.name and entry.pattern().fullmatch(name)], name
        assert metric.unit, f"{name} needs a unit: its suffix does not say it"


def test_every_state_of_a_camera_has_its_meaning():
    assert set(STATES) == set(CameraState)
    assert (
        set(CameraState)
        - {
            CameraState.STARTING,
            CameraState.ONLINE,
            CameraState.DOWN,
            CameraState.ENDED,
        }
        == CONTENT_FAULTS
    )
    assert set(schema("camera")["properties"]["state"]["enum"]) == {state.value for state in STATES}


def test_every_stage_is_measured():
    assert [field.name for field in fields(StageSeconds)] == [*STAGES, "total"]


@pytest.mark.parametrize(
    ("field", "merge"),
    [
        ("frames_seen", Merge.SUM),
        ("detections", Merge.SUM),
        ("detections_person", Merge.SUM),
        ("detections_high_max", Merge.SUM),
        ("detections_per_frame", Merge.MEAN_OVER_FRAMES),
        ("confidence_mean", Merge.MEAN_OVER_DETECTIONS),
        ("feature_luma_min_mean", Merge.MEAN_OVER_SAMPLES),
        ("fps_in", Merge.MEAN_OVER_TIME),
        ("latency_max_seconds", Merge.LARGEST),
        ("drift_worst_ratio", Merge.LARGEST),
        ("cpu_ratio", Merge.MEAN_OVER_TIME),
        ("cpu_max_ratio", Merge.LARGEST),
        ("temperature_max_celsius", Merge.LARGEST),
        ("temperature_cpu_celsius", Merge.MEAN_OVER_TIME),
        ("power_max_watts", Merge.LARGEST),
        ("gpu_power_watts", Merge.MEAN_OVER_TIME),
        ("gpu_ecc_corrected_total", Merge.LAST),
        ("delivered_total", Merge.LAST),
        ("lost", Merge.SUM),
    ],
)
def test_a_field_is_merged_as_its_metric_says(field, merge):
    assert merge_of(field) is merge
