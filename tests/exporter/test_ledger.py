"""The ledger: what is no longer true is gone, counts add up, and memory is bounded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.types import Detections, Frame, FrameResult, Observation, StageSeconds
from agent.exporter import ledger as module
from agent.exporter.catalogue import LATENCY_BUCKETS
from agent.exporter.ledger import Histogram, Ledger


def seen(metric, value=1.0, camera="front", at=100.0, **more):
    labels = {"camera": camera} if camera else {}
    return Observation(metric=metric, value=value, at=at, labels={**labels, **more.pop("labels", {})}, **more)


def frame(camera="front", **stages):
    times = dict.fromkeys(("decode", "wait", "preprocess", "inference", "postprocess", "total"), 0.004)
    return FrameResult(
        frame=Frame(
            camera=camera, index=0, image=np.zeros((2, 2, 3), np.uint8), captured_at=0, monotonic_ns=0
        ),
        detections=Detections(
            boxes=np.zeros((0, 4), np.float32),
            scores=np.zeros(0, np.float32),
            class_ids=np.zeros(0, np.int64),
            threshold=0.25,
            candidates=0,
        ),
        stages=StageSeconds(**{**times, **stages}),
        batch=1,
    )


def test_what_is_no_longer_observed_is_gone():
    ledger = Ledger()
    ledger.observe(
        [seen("gpu.temperature_celsius", 60, camera="", labels={"gpu": "0"}), seen("camera.online")]
    )
    assert ledger.values()["vedette_gpu_temperature_celsius"] == {("0",): 60}
    ledger.observe([seen("camera.online", 0.0)])
    assert "vedette_gpu_temperature_celsius" not in ledger.values()
    assert ledger.values()["vedette_camera_state"] == {("front", "online"): 0.0}


def test_a_window_holds_until_the_next_and_counts_add_up():
    ledger = Ledger()
    ledger.observe([seen("camera.frames_seen", 50), seen("camera.latency_p99_seconds", 0.2)])
    ledger.observe([])
    values = ledger.values()
    assert values["vedette_camera_window_latency_seconds"] == {("front", "total", "p99"): 0.2}
    assert values["vedette_camera_window_end_timestamp_seconds"] == {("front",): 100.0}
    ledger.observe([seen("camera.frames_seen", 0, at=160.0)])  # the camera is down: no latency to tell
    values = ledger.values()
    assert not values["vedette_camera_window_latency_seconds"]
    assert values["vedette_camera_frames_seen_total"] == {("front",): 50}
    assert values["vedette_camera_window_end_timestamp_seconds"] == {("front",): 160.0}


def test_a_camera_that_was_removed_is_forgotten_and_others_stay():
    ledger = Ledger()
    ledger.observe([seen("camera.frames_seen", 5), seen("camera.frames_seen", 7, camera="back")])
    for camera in ("front", "back"):
        ledger.frame(frame(camera))
    ledger.latencies()
    ledger.remove("front")
    assert ledger.values()["vedette_camera_frames_seen_total"] == {("back",): 7}
    assert {key[0] for key in ledger.latencies()} == {"back"}


def test_reasons_and_states_of_a_gpu_are_series():
    ledger = Ledger()
    gpu = {"camera": "", "labels": {"gpu": "1"}}
    ledger.observe(
        [
            seen("gpu.throttled", 1, text="power_cap,thermal_software", **gpu),
            seen("gpu.lost", 1, evidence={"gpu_state": "driver_mismatch"}, **gpu),
        ]
    )
    values = ledger.values()
    assert values["vedette_gpu_throttle_reason"] == {("1", "power_cap"): 1, ("1", "thermal_software"): 1}
    states = values["vedette_gpu_state"]
    assert [labels[1] for labels, value in states.items() if value] == ["driver_mismatch"]
    assert len(states) == 4


def test_a_mig_instance_is_named():
    ledger = Ledger()
    text = "NVIDIA H100 MIG 1g.10gb"
    ledger.observe([seen("gpu.mig_2_memory_used_bytes", 5, camera="", labels={"gpu": "0"}, text=text)])
    assert ledger.values()["vedette_gpu_mig_memory_used_bytes"] == {("0", "2", text): 5}


def test_frames_are_counted_without_a_tick():
    ledger = Ledger()
    for seconds in (0.0005, 0.004, 0.004, 99.0):
        ledger.frame(frame(inference=seconds))
    histogram = ledger.latencies()["front", "inference"]
    assert histogram.counts.tolist() == [1, 0, 2, *[0] * 10, 1]
    assert histogram.total == pytest.approx(99.0085)


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "MOST_SERIES", 3)
    ledger = Ledger()
    for _ in range(2):
        ledger.observe([seen(f"camera.detections_{name}") for name in "abcde"])
    assert len(ledger.values()["vedette_camera_detections_total"]) == 3
    assert ledger.left_out == 2


@given(st.lists(st.floats(0, 1000), min_size=1), st.integers(1, 5))
def test_a_histogram_counts_as_prometheus_does(values, pieces):
    histogram = Histogram()
    for piece in np.array_split(np.array(values), pieces):
        histogram.add(piece)
    below = [sum(value <= bound for value in values) for bound in LATENCY_BUCKETS]
    assert histogram.counts.cumsum().tolist() == [*below, len(values)]
    assert histogram.total == pytest.approx(sum(values))


def test_a_camera_that_was_removed_is_not_brought_back_by_its_last_frames():
    ledger = Ledger()
    ledger.frame(frame())
    ledger.remove("front")
    ledger.observe([])
    assert ledger.latencies() == {}
