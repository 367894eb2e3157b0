"""What the dashboards on Prometheus' data share: the data source, variables, selectors, colours."""

from __future__ import annotations

from model import (
    GREEN,
    PROMETHEUS,
    RED,
    YELLOW,
    Json,
    choice,
    texts,
    thresholds,
)

WINDOWED = "5m"
"""Counters grow when a window closes (60 s): a rate over less would be empty or jump."""

BOX = 'job=~"$job", instance=~"$instance"'
ONE = f'{BOX}, camera=~"$camera"'
FLEET = 'job=~"$job"'

JOB = choice("job", "Job", "label_values(vedette_build_info, job)", many=True)
INSTANCE = choice("instance", "Device", 'label_values(vedette_build_info{job=~"$job"}, instance)')
INSTANCES = choice("instance", "Device", 'label_values(vedette_build_info{job=~"$job"}, instance)', many=True)
CAMERA = choice(
    "camera", "Camera", 'label_values(vedette_camera_state{job=~"$job", instance=~"$instance"}, camera)'
)
CAMERAS = choice(
    "camera",
    "Camera",
    'label_values(vedette_camera_state{job=~"$job", instance=~"$instance"}, camera)',
    many=True,
)
FEATURE = choice(
    "feature", "Feature", 'label_values(vedette_camera_feature_mean{job=~"$job"}, feature)', many=True
)

NONE_IS_GOOD = thresholds((None, GREEN), (1, RED))
MANY_ARE_GOOD = thresholds((None, RED), (1, GREEN))
SHARE = {**thresholds((None, GREEN), (0.8, YELLOW), (0.95, RED)), "min": 0, "max": 1}
HEAT = thresholds((None, GREEN), (75, YELLOW), (87, RED))
OVER_ONE = {**thresholds((None, GREEN), (0.8, YELLOW), (1, RED)), "min": 0}
CONNECTED = {**MANY_ARE_GOOD, **texts({"0": ("not connected", RED), "1": ("connected", GREEN)})}
WORKING = {
    **MANY_ARE_GOOD,
    **texts({"0": ("not ready", RED), "1": ("ready", GREEN)}),
}
ON_OFF = {**NONE_IS_GOOD, **texts({"0": ("no", GREEN), "1": ("yes", RED)})}


def alerts_as_marks(where: str) -> Json:
    """Alerts drawn as marks on every graph, from when they fire until they resolve."""
    return {
        "name": "Alerts",
        "enable": True,
        "iconColor": RED,
        "datasource": PROMETHEUS.reference,
        "expr": f"vedette_alert_firing{{{where}}}",
        "step": "30s",
        "titleFormat": "{{rule}} ({{severity}})",
        "textFormat": "{{instance}} {{camera}} {{gpu}}",
        "useValueForTime": False,
    }
