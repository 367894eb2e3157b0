"""One camera: its state, its frames, its latency, what the model sees."""

from __future__ import annotations

from common import (
    CAMERA,
    INSTANCE,
    JOB,
    ONE,
    OVER_ONE,
    WINDOWED,
    alerts_as_marks,
)
from model import (
    BLUE,
    GREEN,
    PROMETHEUS,
    RED,
    YELLOW,
    dashboard,
    fixed,
    heatmap,
    promql,
    series,
    stat,
    texts,
    thresholds,
    timeline,
)

DASHBOARD = dashboard(
    uid="vedette-camera",
    title="Vedette: camera",
    help="One camera: state, frames by outcome, time of each stage, detections.",
    source=PROMETHEUS,
    variables=[JOB, INSTANCE, CAMERA],
    annotations=[alerts_as_marks(ONE)],
    rows=[
        (
            "Now",
            [
                stat(
                    "State",
                    promql(f"vedette_camera_state{{{ONE}}} == 1", "{{state}}"),
                    options={"textMode": "name", "graphMode": "none"},
                ),
                stat("Frames a second", promql(f"vedette_camera_frames_per_second{{{ONE}}}")),
                stat("Analysed a second", promql(f"vedette_camera_inferred_frames_per_second{{{ONE}}}")),
                stat(
                    "Latency p99",
                    promql(f'vedette_camera_window_latency_seconds{{{ONE}, stage="total", rank="p99"}}'),
                    unit="s",
                ),
                stat(
                    "Drift over its limit", promql(f"vedette_camera_drift_ratio{{{ONE}}}"), defaults=OVER_ONE
                ),
                stat(
                    "Last window",
                    promql(f"time() - vedette_camera_window_end_timestamp_seconds{{{ONE}}}"),
                    unit="s",
                    defaults=thresholds((None, GREEN), (180, RED)),
                ),
            ],
        ),
        (
            "Frames",
            [
                timeline(
                    "State",
                    promql(f"vedette_camera_state{{{ONE}}} == 1", "{{state}}"),
                    width=12,
                    defaults={"color": {"mode": "fixed", "fixedColor": RED}, **texts({"1": ("yes", RED)})},
                    overrides=[fixed("online", GREEN), fixed("starting", YELLOW), fixed("ended", BLUE)],
                    help="A row for each state that the camera was in.",
                ),
                series(
                    "Where the frames go",
                    promql(f"rate(vedette_camera_frames_inferred_total{{{ONE}}}[{WINDOWED}])", "analysed"),
                    promql(
                        f"rate(vedette_camera_frames_dropped_total{{{ONE}}}[{WINDOWED}])",
                        "dropped: the model was busy",
                    ),
                    promql(f"rate(vedette_camera_frames_failed_total{{{ONE}}}[{WINDOWED}])", "failed"),
                    promql(
                        f"rate(vedette_camera_frames_seen_total{{{ONE}}}[{WINDOWED}])", "given by the camera"
                    ),
                    width=12,
                    defaults={"min": 0},
                ),
            ],
        ),
        (
            "Latency",
            [
                heatmap(
                    "Capture to result",
                    promql(
                        f'sum by (le) (increase(vedette_camera_latency_seconds_bucket{{{ONE}, stage="total"}}'
                        "[$__rate_interval]))",
                        "{{le}}",
                    ),
                    width=12,
                ),
                series(
                    "Capture to result, by window",
                    promql(f'vedette_camera_window_latency_seconds{{{ONE}, stage="total"}}', "{{rank}}"),
                    width=12,
                    unit="s",
                ),
                series(
                    "Stages, mean",
                    promql(
                        f'sum by (stage) (rate(vedette_camera_latency_seconds_sum{{{ONE}, stage!="total"}}'
                        f"[{WINDOWED}])) / "
                        f'sum by (stage) (rate(vedette_camera_latency_seconds_count{{{ONE}, stage!="total"}}'
                        f"[{WINDOWED}]))",
                        "{{stage}}",
                    ),
                    width=12,
                    unit="s",
                    stacked=True,
                ),
                series(
                    "Stages, p99 of the window",
                    promql(
                        f'vedette_camera_window_latency_seconds{{{ONE}, stage!="total", rank="p99"}}',
                        "{{stage}}",
                    ),
                    width=12,
                    unit="s",
                ),
            ],
        ),
        (
            "What the model sees",
            [
                series(
                    "Boxes a second, by class",
                    promql(f"rate(vedette_camera_detections_total{{{ONE}}}[{WINDOWED}])", "{{class}}"),
                    stacked=True,
                ),
                series(
                    "Boxes a frame",
                    promql(f"vedette_camera_detections_per_frame{{{ONE}}}", "mean"),
                    defaults={"min": 0},
                ),
                series(
                    "Confidence",
                    promql(f"vedette_camera_confidence_ratio{{{ONE}}}", "mean score"),
                    unit="percentunit",
                    defaults={"min": 0, "max": 1},
                ),
                series(
                    "Light",
                    promql(
                        f'vedette_camera_feature_mean{{{ONE}, feature=~"brightness|contrast"}}', "{{feature}}"
                    ),
                    help="Mean brightness and contrast of the frame, 0 to 255.",
                ),
                series(
                    "Sharpness",
                    promql(f'vedette_camera_feature_mean{{{ONE}, feature="sharpness"}}', "{{feature}}"),
                    help="Falls with dirt, condensation and lost focus.",
                    defaults={"min": 0},
                ),
                series(
                    "Reconnects in an hour",
                    promql(f"increase(vedette_camera_reconnects_total{{{ONE}}}[1h])", "times"),
                    defaults={"min": 0},
                ),
            ],
        ),
    ],
)
