"""Drift of cameras and the features behind it."""

from __future__ import annotations

from common import (
    CAMERAS,
    FEATURE,
    INSTANCES,
    JOB,
    ONE,
    OVER_ONE,
    WINDOWED,
    alerts_as_marks,
)
from model import (
    PROMETHEUS,
    dashboard,
    promql,
    series,
)

DASHBOARD = dashboard(
    uid="vedette-drift",
    title="Vedette: drift",
    help="Whether the cameras still show what the model was trained for: drift against its limit, and its features.",
    source=PROMETHEUS,
    variables=[JOB, INSTANCES, CAMERAS, FEATURE],
    annotations=[alerts_as_marks(f'{ONE}, rule=~"drift|outliers"')],
    rows=[
        (
            "Verdict",
            [
                series(
                    "Drift over its limit",
                    promql(f"vedette_camera_drift_ratio{{{ONE}}}", "{{instance}} {{camera}}"),
                    help="Above 1 the camera has drifted.",
                    defaults=OVER_ONE,
                ),
                series(
                    "All features together, and the mix of classes",
                    promql(f"vedette_camera_drift_joint_ratio{{{ONE}}}", "{{camera}} together"),
                    promql(f"vedette_camera_drift_classes_ratio{{{ONE}}}", "{{camera}} classes"),
                    help="Relative to their limits: many small shifts at once, and content unlike the reference.",
                    defaults=OVER_ONE,
                ),
                series(
                    "Frames unlike the reference",
                    promql(f"vedette_camera_outlier_ratio{{{ONE}}}", "{{instance}} {{camera}}"),
                    unit="percentunit",
                    defaults={"min": 0},
                ),
                series(
                    "Features over their limit: the worst",
                    promql(
                        f"topk(12, vedette_camera_feature_drift_ratio{{{ONE}}})", "{{camera}} {{feature}}"
                    ),
                    width=16,
                    defaults=OVER_ONE,
                ),
                series(
                    "Reference being recorded",
                    promql(f"vedette_camera_reference_recorded_ratio{{{ONE}}}", "{{instance}} {{camera}}"),
                    unit="percentunit",
                    help="Until the reference is complete, verdicts are provisional; empty once it is complete.",
                    defaults={"min": 0, "max": 1},
                ),
            ],
        ),
        (
            "Features",
            [
                series(
                    "Mean of each window: $feature",
                    promql(
                        f'vedette_camera_feature_mean{{{ONE}, feature=~"$feature"}}', "{{camera}} {{feature}}"
                    ),
                    width=24,
                    height=10,
                ),
                series(
                    "Frames measured",
                    promql(f"rate(vedette_camera_feature_samples_total{{{ONE}}}[{WINDOWED}])", "{{camera}}"),
                    width=12,
                    defaults={"min": 0},
                ),
                series(
                    "Frames left out: faulty frame",
                    promql(
                        f"rate(vedette_camera_feature_samples_kept_out_total{{{ONE}}}[{WINDOWED}])",
                        "{{camera}}",
                    ),
                    width=12,
                    defaults={"min": 0},
                ),
            ],
        ),
        (
            "The model",
            [
                series(
                    "Confidence",
                    promql(f"vedette_camera_confidence_ratio{{{ONE}}}", "{{camera}}"),
                    width=12,
                    unit="percentunit",
                ),
                series(
                    "Share of each class",
                    promql(
                        f"sum by (class) (rate(vedette_camera_detections_total{{{ONE}}}[1h])) / "
                        f"ignoring (class) group_left () sum(rate(vedette_camera_detections_total{{{ONE}}}[1h]))",
                        "{{class}}",
                    ),
                    width=12,
                    unit="percentunit",
                    stacked=True,
                ),
            ],
        ),
    ],
)
