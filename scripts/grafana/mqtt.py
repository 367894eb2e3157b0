"""The dashboards on the MQTT data source: what comes in while one looks; it keeps no history.

A query is one topic, and a payload's fields become the series. Its variables are typed in, since that data source
cannot list topics.
"""

from __future__ import annotations

from model import (
    GREEN,
    MQTT,
    RED,
    YELLOW,
    Json,
    Panel,
    TopicQuery,
    dashboard,
    only,
    renamed,
    series,
    stat,
    table,
    texts,
    thresholds,
    written,
)

PREFIX = written("prefix", "Topic prefix", "vedette")
SITE = written("site", "Site", "default")
DEVICE = written("device", "Device", "")
CAMERA = written("camera", "Camera", "")

BOX = "${prefix}/${site}/${device}"
_UNITS = {
    "_seconds": "s",
    "_bytes": "bytes",
    "_ratio": "percentunit",
    "_celsius": "celsius",
    "_watts": "watt",
    "_hertz": "hertz",
}
ONLINE = texts({"online": ("online", GREEN), "degraded": ("degraded", YELLOW), "offline": ("offline", RED)})


def unit_of(name: str) -> str:
    """Grafana's unit for a field, by the end of its name."""
    return next((unit for end, unit in _UNITS.items() if name.endswith(end)), "short")


def fields(title: str, where: str, *names: str, width: int = 8) -> Panel:
    """A graph of some fields of a topic; the unit follows the first one's name."""
    return series(
        title, TopicQuery(where), unit=unit_of(names[0]), width=width, transformations=[only(*names)]
    )


def last(title: str, where: str, name: str, defaults: Json | None = None) -> Panel:
    """The last value of one field, a number or a text."""
    return stat(
        title,
        TopicQuery(where),
        unit=unit_of(name),
        defaults=defaults or {},
        transformations=[only(name)],
        options={"reduceOptions": {"calcs": ["lastNotNull"], "fields": f"/^{name}$/", "values": False}},
    )


def newest(key: str, *names: str) -> list[Json]:
    """The transformations that keep the newest message of each `key`, as a row."""
    groups: Json = {key: {"operation": "groupby", "aggregations": []}}
    groups |= {name: {"operation": "aggregate", "aggregations": ["lastNotNull"]} for name in names}
    named = {f"{name} (lastNotNull)": name.replace("_", " ") for name in names}
    return [{"id": "groupBy", "options": {"fields": groups}}, renamed([], {key: key, **named})]


fleet = dashboard(
    uid="vedette-fleet-mqtt",
    title="Vedette: fleet (MQTT, live)",
    help="Messages received while this page is open; retained ones (status, info, alerts) arrive at once.",
    source=MQTT,
    variables=[PREFIX],
    live=True,
    rows=[
        (
            "Devices",
            [
                table(
                    "Status",
                    TopicQuery("${prefix}/+/+/status"),
                    width=12,
                    defaults=ONLINE,
                    transformations=newest("device", "state", "reason", "since", "version"),
                ),
                table(
                    "Alerts",
                    TopicQuery("${prefix}/+/+/alert/+"),
                    width=12,
                    transformations=newest("id", "device", "state", "severity", "what", "changed_at"),
                ),
                table(
                    "Hosts, last window",
                    TopicQuery("${prefix}/+/+/host"),
                    width=12,
                    transformations=newest("device", "cpu_ratio", "memory_used_ratio", "outbox_messages"),
                ),
                table(
                    "What they are",
                    TopicQuery("${prefix}/+/+/info"),
                    width=12,
                    transformations=newest("device", "version", "model_name", "model_provider", "cameras"),
                ),
            ],
        )
    ],
)

device = dashboard(
    uid="vedette-device-mqtt",
    title="Vedette: device (MQTT, live)",
    help="One device, a point per message (60 s) while this page is open; fields that hardly change, every 15 min.",
    source=MQTT,
    variables=[PREFIX, SITE, DEVICE],
    live=True,
    rows=[
        (
            "Now",
            [
                last("Status", f"{BOX}/status", "state", ONLINE),
                last("Model", f"{BOX}/info", "model_name"),
                last("Processor", f"{BOX}/host", "cpu_ratio"),
                last("Memory", f"{BOX}/host", "memory_used_ratio"),
                last(
                    "Messages waiting",
                    f"{BOX}/host",
                    "outbox_messages",
                    thresholds((None, GREEN), (1000, RED)),
                ),
                last("Disk", f"{BOX}/host", "disk_used_ratio"),
            ],
        ),
        (
            "Host",
            [
                fields("Processor", f"{BOX}/host", "cpu_ratio", "cpu_max_ratio", "process_cpu_ratio"),
                fields("Memory", f"{BOX}/host", "memory_used_bytes", "process_memory_bytes"),
                fields("Load", f"{BOX}/host", "load_1m", "load_15m"),
                fields(
                    "Network",
                    f"{BOX}/host",
                    "network_receive_bytes_per_second",
                    "network_transmit_bytes_per_second",
                ),
                fields("Temperature", f"{BOX}/host", "temperature_celsius", "temperature_max_celsius"),
                fields("Outbox", f"{BOX}/host", "outbox_used_ratio"),
            ],
        ),
        (
            "GPU 0",
            [
                fields("Use", f"{BOX}/gpu/0", "gpu_utilization_ratio", "gpu_decoder_ratio"),
                fields("GPU memory", f"{BOX}/gpu/0", "gpu_memory_used_bytes", "gpu_own_memory_bytes"),
                fields("GPU temperature", f"{BOX}/gpu/0", "gpu_temperature_celsius"),
                fields("Power", f"{BOX}/gpu/0", "gpu_power_watts", "gpu_power_limit_watts"),
                fields("Clocks", f"{BOX}/gpu/0", "gpu_clock_sm_hertz", "gpu_clock_sm_limit_hertz"),
                fields("Throttled, share of the time", f"{BOX}/gpu/0", "throttled_ratio"),
            ],
        ),
    ],
)

_CAMERA = f"{BOX}/camera/${{camera}}"

camera = dashboard(
    uid="vedette-camera-mqtt",
    title="Vedette: camera (MQTT, live)",
    help="One camera, a point per message (60 s) while this page is open; fields that hardly change, every 15 min.",
    source=MQTT,
    variables=[PREFIX, SITE, DEVICE, CAMERA],
    live=True,
    rows=[
        (
            "Now",
            [
                last("State", _CAMERA, "state", ONLINE),
                last("Frames a second", _CAMERA, "fps_in"),
                last("Analysed a second", _CAMERA, "fps_inferred"),
                last("Latency p99", _CAMERA, "latency_p99_seconds"),
                last("Boxes a frame", _CAMERA, "detections_per_frame"),
                last("Confidence", _CAMERA, "confidence_mean"),
            ],
        ),
        (
            "Windows",
            [
                fields(
                    "Frames a window",
                    _CAMERA,
                    "frames_seen",
                    "frames_inferred",
                    "frames_dropped",
                    "frames_failed",
                ),
                fields(
                    "Capture to result",
                    _CAMERA,
                    "latency_p50_seconds",
                    "latency_p99_seconds",
                ),
                fields(
                    "Stages, p99",
                    _CAMERA,
                    *(
                        f"{stage}_p99_seconds"
                        for stage in ("decode", "wait", "preprocess", "inference", "postprocess")
                    ),
                ),
                fields("Boxes a frame", _CAMERA, "detections_per_frame"),
                fields("Confidence", _CAMERA, "confidence_mean"),
                fields("Picture", _CAMERA, "feature_brightness_mean", "feature_contrast_mean"),
            ],
        ),
    ],
)

drift = dashboard(
    uid="vedette-drift-mqtt",
    title="Vedette: drift (MQTT, live)",
    help="The features that drift is judged by, a point per change and every 15 min; the verdicts are in the alerts.",
    source=MQTT,
    variables=[PREFIX, SITE, DEVICE, CAMERA],
    live=True,
    rows=[
        (
            "Features of the camera",
            [
                fields("Sharpness", _CAMERA, "feature_sharpness_mean"),
                fields("Light", _CAMERA, "feature_brightness_mean", "feature_contrast_mean"),
                fields(
                    "Colour", _CAMERA, "feature_saturation_mean", "feature_warmth_mean", "feature_tint_mean"
                ),
                fields("Motion", _CAMERA, "feature_motion_mean", "feature_moving_area_mean"),
                fields("Boxes", _CAMERA, "feature_boxes_per_frame_mean", "feature_box_size_mean"),
                fields("Confidence", _CAMERA, "feature_confidence_mean_mean", "feature_confidence_min_mean"),
            ],
        ),
        (
            "Alerts",
            [
                table(
                    "Alerts of the device",
                    TopicQuery(f"{BOX}/alert/+"),
                    width=24,
                    transformations=newest(
                        "id", "rule", "state", "severity", "what", "expected", "changed_at"
                    ),
                )
            ],
        ),
    ],
)
