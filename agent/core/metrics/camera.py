"""Metrics of a camera: its windows, its state."""

from __future__ import annotations

from collections.abc import Mapping

from agent.core.camera_states import STATES
from agent.core.metrics.definition import (
    Alerting,
    Export,
    LabelValue,
    Merge,
    Metric,
    MetricKind,
    Sent,
    ValidFor,
)
from agent.core.stages import STAGES, TOTAL

_STATES: Mapping[str, LabelValue] = {
    state.value: LabelValue(words=meaning.words, expected=meaning.expected)
    for state, meaning in STATES.items()
}
_STAGES: Mapping[str, LabelValue] = {
    TOTAL: LabelValue(words="latency", exported="total"),
    **{stage: LabelValue(words=words) for stage, words in STAGES.items()},
}
_RANKS = {rank: LabelValue(words=rank) for rank in ("p50", "p90", "p99", "max")}

CAMERA = (
    Metric(
        "camera.{state}",
        Alerting("{state}", "view", "state"),
        Export("camera_state", "1 for the present state of the camera, 0 for the others."),
        merge=Merge.MEAN_OVER_FRAMES,
        labels={"state": _STATES},
    ),
    Metric(
        "camera.frames_seen",
        Alerting("frames received in a window", "speed", "count"),
        Export("camera_frames_seen_total", "Frames that the camera delivered.", valid=ValidFor.ADD),
        merge=Merge.SUM,
        sent=Sent.ALWAYS,
    ),
    Metric(
        "camera.frames_inferred",
        Alerting("frames analysed in a window", "speed", "count"),
        Export("camera_frames_inferred_total", "Frames that the model ran on.", valid=ValidFor.ADD),
        merge=Merge.SUM,
        sent=Sent.ALWAYS,
    ),
    Metric(
        "camera.frames_dropped",
        Alerting("frames dropped in a window", "speed", "count"),
        Export(
            "camera_frames_dropped_total",
            "Frames replaced by newer ones before the model was free.",
            valid=ValidFor.ADD,
        ),
        merge=Merge.SUM,
        sent=Sent.ALWAYS,
    ),
    Metric(
        "camera.frames_skipped",
        export=Export(
            "camera_frames_skipped_total", "Frames skipped because of max_fps.", valid=ValidFor.ADD
        ),
        merge=Merge.SUM,
        sent=Sent.NOT_ZERO,
    ),
    Metric(
        "camera.frames_still",
        Alerting("still frames left out in a window", "speed", "count"),
        Export(
            "camera_frames_still_total",
            "Frames skipped because nothing moved (motion_gate).",
            valid=ValidFor.ADD,
        ),
        merge=Merge.SUM,
        sent=Sent.NOT_ZERO,
    ),
    Metric(
        "camera.frames_failed",
        Alerting("frames failed in a window", "speed", "count"),
        Export(
            "camera_frames_failed_total",
            "Frames that could not be decoded, or on which the model failed.",
            valid=ValidFor.ADD,
        ),
        merge=Merge.SUM,
        sent=Sent.ALWAYS,
    ),
    Metric(
        "camera.reconnects",
        Alerting("reconnects in a window", "view", "count"),
        Export("camera_reconnects_total", "Reconnects of the camera.", valid=ValidFor.ADD),
        merge=Merge.SUM,
        sent=Sent.NOT_ZERO,
    ),
    Metric(
        "camera.detections_{class}",
        Alerting("", "scene"),
        Export("camera_detections_total", "Boxes of a class.", valid=ValidFor.ADD),
        merge=Merge.SUM,
        labels={"class": r"(?!per_frame$)\w+"},
        sent=Sent.ALWAYS,
    ),
    Metric(
        "camera.feature_samples",
        export=Export(
            "camera_feature_samples_total", "Frames whose features were measured.", valid=ValidFor.ADD
        ),
        merge=Merge.SUM,
        sent=Sent.ALWAYS,
    ),
    Metric(
        "camera.feature_samples_kept_out",
        export=Export(
            "camera_feature_samples_kept_out_total",
            "Frames kept out of drift because the camera was in a faulty state.",
            valid=ValidFor.ADD,
        ),
        merge=Merge.SUM,
        sent=Sent.NOT_ZERO,
    ),
    Metric(
        "",
        export=Export(
            "camera_latency_seconds",
            "Time that a frame took in a stage; the stage total is capture to result.",
            kind=MetricKind.HISTOGRAM,
            labels=("camera", "stage"),
        ),
    ),
    Metric(
        "camera.{stage}_{rank}_seconds",
        Alerting("{stage} {rank}", "speed"),
        Export(
            "camera_window_latency_seconds",
            "A quantile of the last window, more exact than the histogram: p50, p90, p99 or max.",
            valid=ValidFor.WINDOW,
        ),
        merge=Merge.MEAN_OVER_FRAMES,
        labels={"stage": _STAGES, "rank": _RANKS},
        doc="Quantile, or maximum, of the time of a stage: p50, p90, p99, max.",
        sent=Sent.COMPLETE,
    ),
    Metric(
        "",
        export=Export(
            "camera_window_end_timestamp_seconds",
            "End of the last window, Unix time: old if there are no more windows.",
            valid=ValidFor.WINDOW,
            labels=("camera",),
        ),
    ),
    Metric(
        "camera.fps_in",
        Alerting("frames received", "speed", "fps"),
        Export(
            "camera_frames_per_second",
            "Frames a second that the camera delivered in the last window.",
            valid=ValidFor.WINDOW,
        ),
        sent=Sent.ALWAYS,
    ),
    Metric(
        "camera.fps_inferred",
        Alerting("frames analysed", "speed", "fps"),
        Export(
            "camera_inferred_frames_per_second",
            "Frames a second that the model ran on.",
            valid=ValidFor.WINDOW,
        ),
        sent=Sent.ALWAYS,
    ),
    Metric(
        "camera.batch_mean",
        Alerting("cameras per model run", "speed", "count"),
        Export(
            "camera_batch_frames",
            "Frames that shared a run of the model, mean of the window.",
            valid=ValidFor.WINDOW,
        ),
        merge=Merge.MEAN_OVER_FRAMES,
        sent=Sent.COMPLETE,
    ),
    Metric(
        "camera.detections",
        Alerting("detections in a window", "scene", "count"),
        Export("camera_window_detections", "Boxes in the last window.", valid=ValidFor.WINDOW),
        merge=Merge.SUM,
        sent=Sent.ALWAYS,
    ),
    Metric(
        "camera.detections_per_frame",
        Alerting("detections per frame", "scene", "count"),
        Export("camera_detections_per_frame", "Boxes a frame, mean of the window.", valid=ValidFor.WINDOW),
        merge=Merge.MEAN_OVER_FRAMES,
        sent=Sent.ALWAYS,
    ),
    Metric(
        "camera.confidence_mean",
        Alerting("mean confidence", "scene", "ratio"),
        Export("camera_confidence_ratio", "Score of the boxes, mean of the window.", valid=ValidFor.WINDOW),
        merge=Merge.MEAN_OVER_DETECTIONS,
        sent=Sent.ALWAYS,
    ),
    Metric(
        "camera.latency_over_ratio",
        Alerting("share of frames over the latency target", "speed"),
        Export(
            "camera_latency_over_ratio",
            "Share of the window's frames over a latency target of a burn-rate rule.",
            valid=ValidFor.WINDOW,
        ),
        merge=Merge.MEAN_OVER_FRAMES,
    ),
    Metric(
        "camera.feature_{feature}_mean",
        export=Export("camera_feature_mean", "Mean of a feature in the window.", valid=ValidFor.WINDOW),
        merge=Merge.MEAN_OVER_SAMPLES,
        labels={"feature": r"\w+"},
    ),
)
