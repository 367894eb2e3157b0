"""The fleet: all devices at once."""

from __future__ import annotations

from common import (
    FLEET,
    JOB,
    MANY_ARE_GOOD,
    NONE_IS_GOOD,
    OVER_ONE,
    WINDOWED,
    alerts_as_marks,
)
from model import (
    BLUE,
    PROMETHEUS,
    dashboard,
    promql,
    renamed,
    series,
    stat,
    table,
    table_query,
    thresholds,
)

DASHBOARD = dashboard(
    uid="vedette-fleet",
    title="Vedette: fleet",
    help="All devices: connections, camera states, firing alerts, latency and drift.",
    source=PROMETHEUS,
    variables=[JOB],
    annotations=[alerts_as_marks(f'{FLEET}, severity="critical"')],
    rows=[
        (
            "Now",
            [
                stat("Devices up", promql(f"sum(up{{{FLEET}}})"), defaults=MANY_ARE_GOOD),
                stat(
                    "Devices gone", promql(f"count(up{{{FLEET}}} == 0) or vector(0)"), defaults=NONE_IS_GOOD
                ),
                stat(
                    "Cameras online",
                    promql(f'sum(vedette_camera_state{{{FLEET}, state="online"}})'),
                    defaults=MANY_ARE_GOOD,
                ),
                stat(
                    "Cameras not online",
                    promql(f'sum(vedette_camera_state{{{FLEET}, state!="online"}})'),
                    defaults=NONE_IS_GOOD,
                ),
                stat(
                    "Critical alerts",
                    promql(f'sum(vedette_alerts_firing{{{FLEET}, severity="critical"}})'),
                    defaults=NONE_IS_GOOD,
                ),
                stat(
                    "Frames analysed",
                    promql(f"sum(vedette_camera_inferred_frames_per_second{{{FLEET}}})"),
                    help="Frames per second through the models, all devices.",
                    defaults=thresholds((None, BLUE)),
                ),
            ],
        ),
        (
            "Devices",
            [
                table(
                    "Devices",
                    table_query(
                        f"vedette_device_info{{{FLEET}}} * on (instance) group_left (version) vedette_build_info"
                    ),
                    width=24,
                    transformations=[
                        renamed(
                            ["Time", "Value", "__name__", "job"],
                            {
                                "instance": "address",
                                "device": "device",
                                "site": "site",
                                "machine": "machine",
                                "jetpack": "JetPack",
                                "power_mode": "power mode",
                                "os": "system",
                                "version": "version",
                            },
                        )
                    ],
                ),
                table(
                    "Alerts that fire",
                    table_query(f"vedette_alert_firing{{{FLEET}}} == 1"),
                    width=12,
                    transformations=[
                        renamed(
                            ["Time", "Value", "__name__", "job"],
                            {
                                "instance": "device",
                                "severity": "severity",
                                "rule": "rule",
                                "camera": "camera",
                                "gpu": "GPU",
                            },
                        )
                    ],
                ),
                table(
                    "Cameras that are not online",
                    table_query(f'vedette_camera_state{{{FLEET}, state!="online"}} == 1'),
                    width=12,
                    transformations=[
                        renamed(
                            ["Time", "Value", "__name__", "job"],
                            {"instance": "device", "camera": "camera", "state": "state"},
                        )
                    ],
                ),
            ],
        ),
        (
            "Over time",
            [
                series(
                    "Alerts firing, by severity",
                    promql(f"sum by (severity) (vedette_alerts_firing{{{FLEET}}})", "{{severity}}"),
                    stacked=True,
                ),
                series(
                    "Cameras not online, by state",
                    promql(
                        f'sum by (state) (vedette_camera_state{{{FLEET}, state!="online"}}) > 0', "{{state}}"
                    ),
                    stacked=True,
                ),
                series(
                    "Latency p99, capture to result: the slowest devices",
                    promql(
                        "topk(10, histogram_quantile(0.99, sum by (instance, le) "
                        f'(rate(vedette_camera_latency_seconds_bucket{{{FLEET}, stage="total"}}[{WINDOWED}]))))',
                        "{{instance}}",
                    ),
                    unit="s",
                    help="From the histograms: accurate to a factor of about two; can be aggregated.",
                ),
                series(
                    "Frames dropped: the busiest devices",
                    promql(
                        "topk(10, sum by (instance) "
                        f"(rate(vedette_camera_frames_dropped_total{{{FLEET}}}[{WINDOWED}])) "
                        f"/ sum by (instance) (rate(vedette_camera_frames_seen_total{{{FLEET}}}[{WINDOWED}])))",
                        "{{instance}}",
                    ),
                    unit="percentunit",
                    defaults={"min": 0},
                ),
                series(
                    "Hottest devices",
                    promql(
                        f"topk(10, max by (instance) (vedette_gpu_temperature_celsius{{{FLEET}}} or "
                        f"vedette_host_temperature_celsius{{{FLEET}}}))",
                        "{{instance}}",
                    ),
                    unit="celsius",
                ),
                series(
                    "Drift over its limit: the worst cameras",
                    promql(f"topk(10, vedette_camera_drift_ratio{{{FLEET}}})", "{{instance}} {{camera}}"),
                    help="Above 1 the camera has drifted.",
                    defaults=OVER_ONE,
                ),
                series(
                    "Not connected to the broker",
                    promql(f"vedette_broker_connected{{{FLEET}}} == bool 0", "{{instance}}"),
                    help="1 while not connected: messages wait in the outbox.",
                    defaults={"min": 0, "max": 1},
                ),
                series(
                    "Outbox in use",
                    promql(f"topk(10, vedette_outbox_used_ratio{{{FLEET}}})", "{{instance}}"),
                    unit="percentunit",
                    defaults={"min": 0},
                ),
                series(
                    "Messages lost in an hour",
                    promql(
                        f"sum by (instance) (increase(vedette_outbox_lost_messages_total{{{FLEET}}}[1h]))",
                        "{{instance}}",
                    ),
                    defaults={"min": 0},
                ),
            ],
        ),
    ],
)
