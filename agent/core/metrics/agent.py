"""Metrics of the agent itself, which the exporter makes when it is asked."""

from __future__ import annotations

from agent.core.metrics.definition import Export, Metric, MetricKind

AGENT = (
    Metric("", export=Export("build", "Version of the agent.", kind=MetricKind.INFO, labels=("version",))),
    Metric(
        "",
        export=Export(
            "device",
            "Name of the device in its MQTT topics, and the hardware.",
            kind=MetricKind.INFO,
            labels=("device", "site", "machine", "os", "jetpack", "power_mode"),
        ),
    ),
    Metric(
        "",
        export=Export(
            "model", "The running model.", kind=MetricKind.INFO, labels=("model", "sha256", "provider")
        ),
    ),
    Metric(
        "",
        export=Export(
            "gpu", "What a GPU is.", kind=MetricKind.INFO, labels=("gpu", "model", "uuid", "driver", "cuda")
        ),
    ),
    Metric("", export=Export("ready", "1 once the model is loaded and every camera was tried (as /readyz).")),
    Metric("", export=Export("alerts_firing", "Firing alerts, by severity.", labels=("severity",))),
    Metric(
        "",
        export=Export(
            "alert_firing", "1 for each firing alert.", labels=("rule", "severity", "camera", "gpu")
        ),
    ),
    Metric(
        "",
        export=Export(
            "part_silent_seconds", "Time since a worker of the agent last showed progress.", labels=("part",)
        ),
    ),
    Metric(
        "",
        export=Export(
            "part_failures_total", "Failures of a worker, each followed by a restart.", labels=("part",)
        ),
    ),
    Metric(
        "",
        export=Export(
            "part_discarded_items_total",
            "Items (results, tasks, readings) that a worker could not process and discarded; 0 on a "
            "healthy box.",
            labels=("part",),
        ),
    ),
    Metric(
        "",
        export=Export(
            "exporter_series_left_out", "Series left out because a metric had too many; 0 on a healthy box."
        ),
    ),
)
