"""Summaries: counts are exact, quantiles are those of the frames, classes are named."""

import tracemalloc

import numpy as np
import pytest

from agent.core.stages import STAGES
from agent.core.types import CameraState, CameraStatus, Detections, Frame, FrameResult, StageSeconds
from agent.pipeline.camera_window import CameraSummary, CameraWindow, FrameCounts, class_field, field_names
from agent.pipeline.observations import summary_observations

STATUS = CameraStatus(camera="front", state=CameraState.ONLINE, since=1.0)
IMAGE = np.zeros((4, 4, 3), np.uint8)


def result(total, classes=(), scores=None):
    count = len(classes)
    detections = Detections(
        boxes=np.zeros((count, 4), np.float32),
        scores=np.full(count, 0.5, np.float32) if scores is None else np.array(scores, np.float32),
        class_ids=np.array(classes, np.int64),
        threshold=0.25,
        candidates=count,
    )
    stages = StageSeconds(
        decode=0.001, wait=0.0, preprocess=0.002, inference=total / 2, postprocess=0.001, total=total
    )
    frame = Frame(camera="front", index=0, image=IMAGE, captured_at=0.0, monotonic_ns=0)
    return FrameResult(frame=frame, detections=detections, stages=stages, batch=2)


def close(window, seconds=10.0, **counts):
    return window.close(110.0, seconds, FrameCounts(**counts), STATUS)


def test_counts_rates_and_quantiles():
    window = CameraWindow("front", ("car", "traffic light"), 100.0)
    for number in range(1, 101):
        window.add(result(number / 1000, classes=(0, 1, 1)))
    body = close(window, seen=120, dropped=15, failed=5, reconnects=1).body
    assert (body["frames_seen"], body["frames_inferred"], body["frames_dropped"], body["frames_failed"]) == (
        120,
        100,
        15,
        5,
    )
    assert (body["fps_in"], body["fps_inferred"]) == (12.0, 10.0)
    assert body["latency_max_seconds"] == 0.1
    assert abs(body["latency_p50_seconds"] - 0.050) <= 0.002
    assert abs(body["latency_p99_seconds"] - 0.099) <= 0.002
    assert (body["detections"], body["detections_car"], body["detections_traffic_light"]) == (300, 100, 200)
    assert (body["detections_per_frame"], body["batch_mean"], body["confidence_mean"]) == (3.0, 2.0, 0.5)


def test_an_hour_of_frames_takes_no_more_memory_than_some_minutes():
    window, times = CameraWindow("front", ("car",), 100.0), np.random.default_rng(1).gamma(3.0, 0.02, 30_000)
    tracemalloc.start()
    try:
        for seconds in times:
            window.add(result(float(seconds)))
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < 1_500_000, "it was 4.1 MB"
    body = close(window, seconds=3600.0, seen=len(times)).body
    assert body["frames_inferred"] == len(times)
    assert body["latency_max_seconds"] == round(float(np.float32(times.max())), 6)
    ranks = [float((times < body[f"latency_{name}_seconds"]).mean()) for name in ("p50", "p90", "p99")]
    assert ranks == pytest.approx([0.5, 0.9, 0.99], abs=0.015)


def test_frames_left_out_for_max_fps_are_not_called_dropped():
    body = close(CameraWindow("front", (), 100.0), seen=30, skipped=25).body
    assert (body["frames_skipped"], body["frames_dropped"]) == (25, 0)


def test_an_empty_window_makes_nothing_up():
    body = close(CameraWindow("front", (), 100.0)).body
    assert body["frames_inferred"] == body["detections"] == 0
    assert not any(key.endswith("_seconds") for key in body)
    assert "confidence_mean" not in body


def test_a_class_without_a_name_is_counted_by_its_number():
    window = CameraWindow("front", ("car",), 100.0)
    window.add(result(0.01, classes=(7,)))
    assert close(window).body["detections_7"] == 1


def test_class_names_become_field_names():
    assert class_field("Traffic Light") == "detections_traffic_light"
    assert class_field("n°1/ärger") == "detections_n_1_rger"


def test_a_latency_brings_its_stages_as_evidence():
    window = CameraWindow("front", ("cat",), 100.0)
    window.add(result(0.2))
    body = close(window).body
    found = {item.metric: item.evidence for item in summary_observations(close_again(body))}
    assert found["camera.latency_p99_seconds"]["inference_p99_seconds"] == pytest.approx(0.1)
    assert set(found["camera.latency_p99_seconds"]) == {f"{stage}_p99_seconds" for stage in STAGES}
    assert found["camera.inference_p99_seconds"] == {}


def test_times_are_no_numbers_that_a_rule_judges():
    summary = close(CameraWindow("front", (), 100.0))
    observed = {item.metric for item in summary_observations(summary)}
    assert "camera.fps_in" in observed
    assert not observed & {"camera.start", "camera.end", "camera.time", "camera.state_since"}


def close_again(body):
    return CameraSummary(camera="front", start=100.0, end=110.0, body=body, sketches={})


def test_a_window_in_which_the_box_slept_is_as_long_as_it_was_awake():
    window = CameraWindow("front", (), 110.0 - 8 * 3600.0)
    summary = close(window, seconds=10.0, seen=100)
    assert (summary.start, summary.end, summary.body["start"]) == (100.0, 110.0, 100.0)
    assert summary.body["fps_in"] == 10.0


def test_the_name_that_a_field_does_not_carry_is_listed():
    assert field_names(["person", "traffic light", "Per-son", "per son", "犬", "per frame"]) == (
        "detections_per_son_2=Per-son; detections_per_son_3=per son; detections_4=犬; detections_per_frame_5=per frame"
    )
