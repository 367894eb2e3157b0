"""Metrics of the agent itself, which the exporter makes when it is asked."""

from __future__ import annotations

from agent.core.metrics.definition import Export, Metric, MetricKind

AGENT = (
    Metric("", export=Export("build", "Version of the agent.", kind=MetricKind.INFO, labels=("version",))),
    Metric(
        "",
        export=Export(
            "device",
            "The box, as its MQTT topics name it, and what it is.",
            kind=MetricKind.INFO,
            labels=("device", "site", "machine", "os", "jetpack", "power_mode"),
        ),
    ),
    Metric(
        "",
        export=Export(
            "model", "The model that runs.", kind=MetricKind.INFO, labels=("model", "sha256", "provider")
        ),
    ),
    Metric(
        "",
        export=Export(
            "gpu", "What a GPU is.", kind=MetricKind.INFO, labels=("gpu", "model", "uuid", "driver", "cuda")
        ),
    ),
    Metric("", export=Export("ready", "1 once the model is loaded and every camera was tried (as /readyz).")),
    Metric("", export=Export("alerts_firing", "Alerts that fire, by severity.", labels=("severity",))),
    Metric(
        "",
        export=Export(
            "alert_firing", "1 for each alert that fires.", labels=("rule", "severity", "camera", "gpu")
        ),
    ),
    Metric(
        "",
        export=Export(
            "part_silent_seconds", "Time since a part of the agent last showed progress.", labels=("part",)
        ),
    ),
    Metric(
        "",
        export=Export(
            "part_failures_total", "Times that a part failed and was started anew.", labels=("part",)
        ),
    ),
    Metric(
        "",
        export=Export(
            "part_discarded_items_total",
            "Items (results, tasks, readings) that a part could not process and left out; 0 on a healthy box.",
            labels=("part",),
        ),
    ),
    Metric(
        "",
        export=Export(
            "exporter_series_left_out", "Series left out since a metric had too many; 0 on a healthy box."
        ),
    ),
)
