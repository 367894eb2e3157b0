"""The catalogue: every metric that is exported, its labels, and which observations it is made of. Pure.

An observation `camera.latency_p99_seconds` finds its metric by `source`, a regular expression whose named groups
become labels. What has no source is told by the agent itself (`agent.exporter.ledger`, `agent.exporter.exposition`).
Names follow Prometheus: base units, `_total` for what only grows, the prefix `vedette_`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache


class MetricKind(str, Enum):
    """What Prometheus takes a metric for."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    INFO = "info"


class ValidFor(str, Enum):
    """How long an observed number holds."""

    NOW = "now"  # observed every second: gone when it is no longer observed
    WINDOW = "window"  # of a camera's last window: gone with the next one
    ADD = "add"  # a window's count, added up


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedMetric:
    """One metric. `labels` in the order they are documented; `source` matches the whole name of an observation."""

    name: str
    help: str
    kind: MetricKind = MetricKind.GAUGE
    labels: tuple[str, ...] = ()
    source: str = ""
    keep: ValidFor = ValidFor.NOW


LATENCY_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds. Three to a decade: a quantile read from them is right to within a factor of about two."""

STATES = (
    "starting|online|down|ended|frozen|black|covered|blurred|overexposed|moved|resized|slow|bad_timestamps"
)
STAGES = "latency|decode|wait|preprocess|inference|postprocess"

_WORDS = {
    "stage": {"latency": "total"},
    "disk": {"": "state", "root_": "root"},
}
"""What a group of a source is called as a label's value, where that differs."""

_CAMERA, _GPU = ("camera",), ("gpu",)


def _camera(
    name: str, text: str, source: str, *labels: str, keep: ValidFor = ValidFor.WINDOW
) -> ExportedMetric:
    kind = MetricKind.COUNTER if keep is ValidFor.ADD else MetricKind.GAUGE
    return ExportedMetric(
        name=f"vedette_camera_{name}",
        help=text,
        kind=kind,
        labels=("camera", *labels),
        source=source,
        keep=keep,
    )


def _counted(name: str, text: str, source: str, *labels: str) -> ExportedMetric:
    return _camera(name, text, source, *labels, keep=ValidFor.ADD)


def _host(name: str, text: str, source: str, *labels: str) -> ExportedMetric:
    return ExportedMetric(name=f"vedette_host_{name}", help=text, labels=labels, source=rf"host\.{source}")


def _gpu(
    name: str, text: str, source: str = "", *labels: str, kind: MetricKind = MetricKind.GAUGE
) -> ExportedMetric:
    return ExportedMetric(
        name=f"vedette_gpu_{name}",
        help=text,
        kind=kind,
        labels=("gpu", *labels),
        source=rf"gpu\.{source or name}",
    )


def _delivery(name: str, text: str, source: str) -> ExportedMetric:
    kind = MetricKind.COUNTER if name.endswith("_total") else MetricKind.GAUGE
    return ExportedMetric(name=f"vedette_{name}", help=text, kind=kind, source=rf"host\.{source}")


CAMERAS = (
    _camera(
        "state",
        "1 for the state that the camera is in, 0 for the others.",
        rf"camera\.(?P<state>{STATES})",
        "state",
        keep=ValidFor.NOW,
    ),
    _counted("frames_seen_total", "Frames that the camera gave.", r"camera\.frames_seen"),
    _counted("frames_inferred_total", "Frames that the model ran on.", r"camera\.frames_inferred"),
    _counted(
        "frames_dropped_total",
        "Frames replaced by newer ones before the model was free.",
        r"camera\.frames_dropped",
    ),
    _counted("frames_skipped_total", "Frames left out for max_fps.", r"camera\.frames_skipped"),
    _counted(
        "frames_still_total", "Frames left out since nothing moved (motion_gate).", r"camera\.frames_still"
    ),
    _counted(
        "frames_failed_total", "Frames that could not be decoded or detected on.", r"camera\.frames_failed"
    ),
    _counted("reconnects_total", "Times that the camera was connected to anew.", r"camera\.reconnects"),
    _counted(
        "detections_total", "Boxes of a class.", r"camera\.detections_(?P<class>(?!per_frame)\w+)", "class"
    ),
    _counted("feature_samples_total", "Frames whose features were measured.", r"camera\.feature_samples"),
    _counted(
        "feature_samples_kept_out_total",
        "Frames kept out of drift since the picture was faulty.",
        r"camera\.feature_samples_kept_out",
    ),
    ExportedMetric(
        name="vedette_camera_latency_seconds",
        help="Time a frame took in a stage; stage total is capture to result.",
        kind=MetricKind.HISTOGRAM,
        labels=("camera", "stage"),
    ),
    _camera(
        "window_latency_seconds",
        "A quantile of the last window, finer than the histogram gives it: p50, p90, p99 or max.",
        rf"camera\.(?P<stage>{STAGES})_(?P<rank>p50|p90|p99|max)_seconds",
        "stage",
        "rank",
    ),
    _camera(
        "window_end_timestamp_seconds",
        "When the last window ended, Unix time: old if windows no longer come.",
        "",
    ),
    _camera(
        "frames_per_second", "Frames a second that the camera gave in the last window.", r"camera\.fps_in"
    ),
    _camera("inferred_frames_per_second", "Frames a second that the model ran on.", r"camera\.fps_inferred"),
    _camera(
        "batch_frames", "Frames that shared a run of the model, mean of the window.", r"camera\.batch_mean"
    ),
    _camera("window_detections", "Boxes in the last window.", r"camera\.detections"),
    _camera("detections_per_frame", "Boxes a frame, mean of the window.", r"camera\.detections_per_frame"),
    _camera("confidence_ratio", "Score of the boxes, mean of the window.", r"camera\.confidence_mean"),
    _camera(
        "latency_over_ratio",
        "Share of the window's frames over a latency target of a burn-rate rule.",
        r"camera\.latency_over_ratio",
    ),
    _camera(
        "feature_mean",
        "Mean of a feature in the window.",
        r"camera\.feature_(?P<feature>\w+)_mean",
        "feature",
    ),
)

DRIFT = (
    _camera("drift_ratio", "Drift score over its limit: above 1 the camera has drifted.", r"drift\.ratio"),
    _camera(
        "drift_joint_ratio",
        "The same of all features together: many small shifts at once.",
        r"drift\.joint_ratio",
    ),
    _camera("drift_classes_ratio", "The same of the mix of classes.", r"drift\.classes_ratio"),
    _camera(
        "feature_drift_ratio",
        "The same of one feature.",
        r"drift\.(?P<feature>(?!(?:joint|classes|outlier)_ratio)\w+)_ratio",
        "feature",
    ),
    _camera(
        "outlier_ratio",
        "Share of the window's frames that are unlike the reference.",
        r"drift\.outlier_ratio",
    ),
    _camera(
        "reference_recorded_ratio",
        "How much of the reference is recorded, while one is being recorded.",
        r"camera\.drift_recorded_ratio",
    ),
)

HOST = (
    _host("cpu_ratio", "Share of the processor in use.", "cpu_ratio"),
    _host("cpu_clock_hertz", "Mean clock of the processor's cores.", "cpu_clock_hertz"),
    _host("load1", "Processes that run or wait, mean of a minute.", "load_1m"),
    _host("load5", "Processes that run or wait, mean of five minutes.", "load_5m"),
    _host("load15", "Processes that run or wait, mean of fifteen minutes.", "load_15m"),
    _host("memory_used_bytes", "Memory in use.", "memory_used_bytes"),
    _host("memory_available_bytes", "Memory that programs can still have.", "memory_available_bytes"),
    _host("memory_used_ratio", "Share of the memory in use.", "memory_used_ratio"),
    _host("swap_used_bytes", "Swap in use.", "swap_used_bytes"),
    _host("swap_used_ratio", "Share of the swap in use.", "swap_used_ratio"),
    _host(
        "disk_used_bytes",
        "Used of the disk of the state directory, or of /.",
        "(?P<disk>|root_)disk_used_bytes",
        "disk",
    ),
    _host(
        "disk_free_bytes", "Free for ordinary users on that disk.", "(?P<disk>|root_)disk_free_bytes", "disk"
    ),
    _host("disk_used_ratio", "Share of that disk in use.", "(?P<disk>|root_)disk_used_ratio", "disk"),
    _host(
        "network_receive_bytes_per_second",
        "Received, all interfaces but lo.",
        "network_receive_bytes_per_second",
    ),
    _host(
        "network_transmit_bytes_per_second",
        "Sent, all interfaces but lo.",
        "network_transmit_bytes_per_second",
    ),
    _host("temperature_celsius", "The hottest sensor.", "temperature_celsius"),
    _host(
        "sensor_temperature_celsius",
        "A sensor chip's or thermal zone's temperature.",
        r"temperature_(?P<sensor>\w+)_celsius",
        "sensor",
    ),
    _host("power_watts", "Power of the whole board (Jetson).", "power_watts"),
    _host("rail_power_watts", "Power of one rail (Jetson, INA3221).", r"power_(?P<rail>\w+)_watts", "rail"),
    _host(
        "model_busy_limit_ratio",
        "Share of the time that the model may run: below 1 while the box is too hot.",
        "model_busy_limit_ratio",
    ),
    _host("emc_clock_hertz", "Clock of the memory controller (Jetson).", "emc_clock_hertz"),
    _host("emc_utilization_ratio", "Use of the memory controller (Jetson).", "emc_utilization_ratio"),
    _host("uptime_seconds", "Time since the boot.", "uptime_seconds"),
    _host("process_cpu_ratio", "Processor seconds a second that the agent takes.", "process_cpu_ratio"),
    _host("process_threads", "Threads of the agent.", "process_threads"),
    ExportedMetric(
        name="vedette_probe_duration_seconds",
        help="What the last measurement of a probe (host, nvml, tegra) took.",
        labels=("probe",),
        source=r"host\.probe_(?P<probe>\w+)_seconds",
    ),
)

GPU = (
    _gpu("lost", "1 if the GPU does not answer (see vedette_gpu_state).", "lost"),
    ExportedMetric(
        name="vedette_gpu_state",
        help="1 for the state that the GPU is in: ok, lost, absent, driver_mismatch (reboot needed).",
        labels=("gpu", "state"),
    ),
    _gpu("utilization_ratio", "Share of the last second in which a kernel ran."),
    _gpu("memory_activity_ratio", "Share of the last second in which memory was read or written."),
    _gpu("memory_used_bytes", "GPU memory in use."),
    _gpu("memory_bytes", "GPU memory there is.", "memory_total_bytes"),
    _gpu("memory_used_ratio", "Share of the GPU memory in use."),
    _gpu("own_memory_bytes", "GPU memory of the agent itself."),
    _gpu("temperature_celsius", "Temperature."),
    _gpu("power_watts", "Power."),
    _gpu("power_limit_watts", "The power limit in force."),
    _gpu("clock_sm_hertz", "Clock of the multiprocessors."),
    _gpu("clock_sm_limit_hertz", "The highest clock of the multiprocessors."),
    _gpu("clock_memory_hertz", "Clock of the memory."),
    _gpu("performance_state", "P0 (fastest) to P15."),
    _gpu("throttled", "1 while the GPU is slowed down against its will."),
    ExportedMetric(
        name="vedette_gpu_throttle_reason",
        help="1 for each reason for which the GPU is slowed down now.",
        labels=("gpu", "reason"),
    ),
    _gpu("idle", "1 while clocks are low since there is nothing to do.", "idle_ratio"),
    _gpu("encoder_ratio", "Use of the video encoder."),
    _gpu("decoder_ratio", "Use of the video decoder."),
    _gpu("fan_ratio", "Fan speed, share of its highest."),
    _gpu(
        "ecc_corrected_errors_total",
        "Memory errors corrected.",
        "ecc_corrected_total",
        kind=MetricKind.COUNTER,
    ),
    _gpu(
        "ecc_uncorrected_errors_total",
        "Memory errors not corrected.",
        "ecc_uncorrected_total",
        kind=MetricKind.COUNTER,
    ),
    _gpu(
        "over_current_events_total",
        "Over-current events (Jetson).",
        "over_current_events_total",
        kind=MetricKind.COUNTER,
    ),
    _gpu("pcie_generation", "PCIe generation of the link now."),
    _gpu("pcie_width", "PCIe lanes of the link now."),
    _gpu("pcie_receive_bytes_per_second", "Received over PCIe."),
    _gpu("pcie_transmit_bytes_per_second", "Sent over PCIe."),
    _gpu("mig_mode", "1 if the GPU is split (MIG)."),
    _gpu(
        "mig_memory_used_bytes",
        "Memory in use of a MIG instance.",
        r"mig_(?P<instance>\d+)_memory_used_bytes",
        "instance",
        "name",
    ),
    _gpu(
        "mig_memory_bytes",
        "Memory of a MIG instance.",
        r"mig_(?P<instance>\d+)_memory_total_bytes",
        "instance",
        "name",
    ),
    _gpu(
        "mig_memory_used_ratio", "Share of it in use.", r"mig_(?P<instance>\d+)_memory_used_ratio", "instance"
    ),
)

DELIVERY = (
    _delivery("broker_connected", "1 while connected to the MQTT broker.", "broker_connected"),
    _delivery("broker_delivered_messages_total", "Messages that the broker acknowledged.", "delivered_total"),
    _delivery("outbox_messages", "Messages waiting in the outbox.", "outbox_messages"),
    _delivery("outbox_used_ratio", "Share of the outbox's disk in use.", "outbox_used_ratio"),
    _delivery(
        "outbox_durable", "1 while messages are kept on disk, 0 while only in memory.", "outbox_durable"
    ),
    _delivery(
        "outbox_lost_messages_total", "Messages dropped since the outbox was full.", "outbox_lost_total"
    ),
    _delivery("outbox_commits_total", "Commits to the outbox: each is one sync.", "outbox_commits_total"),
    _delivery(
        "outbox_written_bytes_total", "Bytes that delivery had written to disk.", "outbox_written_bytes_total"
    ),
    _delivery("outbox_merged_messages_total", "Windows merged into longer ones.", "outbox_merged_total"),
    _delivery(
        "outbox_damaged_files_total", "Outbox files that were damaged and set aside.", "outbox_damaged_total"
    ),
)

AGENT = (
    ExportedMetric(
        name="vedette_build", help="Version of the agent.", kind=MetricKind.INFO, labels=("version",)
    ),
    ExportedMetric(
        name="vedette_device",
        help="The box, as its MQTT topics name it, and what it is.",
        kind=MetricKind.INFO,
        labels=("device", "site", "machine", "os", "jetpack", "power_mode"),
    ),
    ExportedMetric(
        name="vedette_model",
        help="The model that runs.",
        kind=MetricKind.INFO,
        labels=("model", "sha256", "provider"),
    ),
    ExportedMetric(
        name="vedette_gpu",
        help="What a GPU is.",
        kind=MetricKind.INFO,
        labels=("gpu", "model", "uuid", "driver", "cuda"),
    ),
    ExportedMetric(
        name="vedette_ready", help="1 once the model is loaded and every camera was tried (as /readyz)."
    ),
    ExportedMetric(name="vedette_alerts_firing", help="Alerts that fire, by severity.", labels=("severity",)),
    ExportedMetric(
        name="vedette_alert_firing",
        help="1 for each alert that fires.",
        labels=("rule", "severity", "camera", "gpu"),
    ),
    ExportedMetric(
        name="vedette_part_silent_seconds",
        help="Time since a part of the agent last showed progress.",
        labels=("part",),
    ),
    ExportedMetric(
        name="vedette_part_failures_total",
        help="Times that a part failed and was started anew.",
        kind=MetricKind.COUNTER,
        labels=("part",),
    ),
    ExportedMetric(
        name="vedette_part_discarded_items_total",
        help="Items (results, tasks, readings) that a part could not process and left out; 0 on a healthy box.",
        kind=MetricKind.COUNTER,
        labels=("part",),
    ),
    ExportedMetric(
        name="vedette_exporter_series_left_out",
        help="Series left out since a metric had too many; 0 on a healthy box.",
    ),
)

CATALOGUE: tuple[ExportedMetric, ...] = (*AGENT, *CAMERAS, *DRIFT, *HOST, *GPU, *DELIVERY)

_SOURCES = [(re.compile(entry.source), entry) for entry in CATALOGUE if entry.source]


@lru_cache(maxsize=4096)
def find(metric: str) -> tuple[ExportedMetric, tuple[tuple[str, str], ...]] | None:
    """The metric that the observations `metric` are exported as, and the labels that its name holds."""
    for pattern, entry in _SOURCES:
        match = pattern.fullmatch(metric)
        if match:
            found = {name: value or "" for name, value in match.groupdict().items()}
            return entry, tuple(
                (name, _WORDS.get(name, {}).get(value, value)) for name, value in found.items()
            )
    return None
