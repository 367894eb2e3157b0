"""The metrics that rules know: each with its words, its unit, and the cause its alerts belong to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Unit = Literal[
    "seconds", "bytes", "ratio", "celsius", "watts", "hertz", "fps", "count", "state", "times", "total", ""
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number that rules may speak of.

    `words` completes "camera front: ..."; `cause` groups alerts: one per target and cause is told. `expected`
    says what a state should be instead.
    """

    name: str
    words: str
    unit: Unit
    cause: str
    expected: str = ""


def _metric(name: str, words: str, unit: Unit, cause: str, expected: str = "") -> Metric:
    return Metric(name=name, words=words, unit=unit, cause=cause, expected=expected)


_STATES = {
    "starting": ("is starting", "online"),
    "online": ("is online", "not online"),
    "down": ("is down", "online"),
    "ended": ("has ended", "more pictures"),
    "frozen": ("is frozen", "pictures that change"),
    "black": ("is black", "a picture with light in it"),
    "covered": ("is covered", "a free view"),
    "blurred": ("is blurred", "a sharp picture"),
    "overexposed": ("is overexposed", "a picture that is not burnt out"),
    "moved": ("was moved", "the view it used to have"),
    "resized": ("changed its picture size", "the size it used to have"),
    "slow": ("is slow", "its usual frame rate"),
    "bad_timestamps": ("has bad timestamps", "timestamps that rise evenly"),
}

_STAGES = {
    "latency": "latency",
    "decode": "decoding time",
    "wait": "waiting time",
    "preprocess": "preprocessing time",
    "inference": "inference time",
    "postprocess": "postprocessing time",
}

_LISTED = (
    *(_metric(f"camera.{name}", words, "state", "view", right) for name, (words, right) in _STATES.items()),
    *(
        _metric(f"camera.{stage}_{rank}_seconds", f"{words} {rank}", "seconds", "speed")
        for stage, words in _STAGES.items()
        for rank in ("p50", "p90", "p99", "max")
    ),
    _metric("camera.latency_over_ratio", "share of frames over the latency target", "ratio", "speed"),
    _metric("camera.fps_in", "frames received", "fps", "speed"),
    _metric("camera.fps_inferred", "frames analysed", "fps", "speed"),
    _metric("camera.frames_seen", "frames received in a window", "count", "speed"),
    _metric("camera.frames_inferred", "frames analysed in a window", "count", "speed"),
    _metric("camera.frames_dropped", "frames dropped in a window", "count", "speed"),
    _metric("camera.frames_still", "still frames left out in a window", "count", "speed"),
    _metric("camera.frames_failed", "frames failed in a window", "count", "speed"),
    _metric("camera.reconnects", "reconnects in a window", "count", "view"),
    _metric("camera.batch_mean", "cameras per model run", "count", "speed"),
    _metric("camera.detections", "detections in a window", "count", "scene"),
    _metric("camera.detections_per_frame", "detections per frame", "count", "scene"),
    _metric("camera.confidence_mean", "mean confidence", "ratio", "scene"),
    _metric("host.temperature_celsius", "temperature", "celsius", "heat"),
    _metric("host.cpu_ratio", "processor use", "ratio", "load"),
    _metric("host.load_1m", "load over one minute", "count", "load"),
    _metric("host.load_5m", "load over five minutes", "count", "load"),
    _metric("host.load_15m", "load over fifteen minutes", "count", "load"),
    _metric("host.memory_used_ratio", "memory in use", "ratio", "memory"),
    _metric("host.memory_used_bytes", "memory in use", "bytes", "memory"),
    _metric("host.memory_available_bytes", "memory available", "bytes", "memory"),
    _metric("host.swap_used_ratio", "swap in use", "ratio", "memory"),
    _metric("host.disk_used_ratio", "disk in use", "ratio", "disk"),
    _metric("host.disk_used_bytes", "disk in use", "bytes", "disk"),
    _metric("host.disk_free_bytes", "disk free", "bytes", "disk"),
    _metric("host.root_disk_used_ratio", "system disk in use", "ratio", "disk"),
    _metric("host.root_disk_free_bytes", "system disk free", "bytes", "disk"),
    _metric("host.network_receive_bytes_per_second", "bytes received a second", "bytes", "network"),
    _metric("host.network_transmit_bytes_per_second", "bytes sent a second", "bytes", "network"),
    _metric("host.uptime_seconds", "time since the boot", "seconds", "load"),
    _metric("host.process_threads", "threads of the agent", "count", "load"),
    _metric("host.process_files", "open files of the agent", "count", "load"),
    _metric("host.process_memory_bytes", "memory of the agent", "bytes", "memory"),
    _metric("host.process_cpu_ratio", "processor use of the agent", "ratio", "load"),
    _metric("host.model_busy_limit_ratio", "share of the time that the model may run", "ratio", "heat"),
    _metric("gpu.temperature_celsius", "temperature", "celsius", "heat"),
    _metric("gpu.utilization_ratio", "use", "ratio", "load"),
    _metric("gpu.encoder_ratio", "use of the encoder", "ratio", "load"),
    _metric("gpu.decoder_ratio", "use of the decoder", "ratio", "load"),
    _metric("gpu.own_memory_bytes", "memory of the agent", "bytes", "memory"),
    _metric("gpu.clock_sm_hertz", "clock", "hertz", "throttle"),
    _metric("gpu.fan_ratio", "fan speed", "ratio", "heat"),
    _metric("gpu.memory_used_ratio", "memory in use", "ratio", "memory"),
    _metric("gpu.memory_used_bytes", "memory in use", "bytes", "memory"),
    _metric("gpu.power_watts", "power", "watts", "heat"),
    _metric("gpu.throttled", "is throttled", "state", "throttle", "full clocks"),
    _metric("gpu.ecc_corrected_total", "memory errors corrected", "total", "gpu"),
    _metric("gpu.ecc_uncorrected_total", "memory errors not corrected", "total", "gpu"),
    _metric("gpu.over_current_events_total", "over-current events", "total", "throttle"),
    _metric("gpu.lost", "is lost", "state", "gpu", "an answer from it"),
    _metric("drift.ratio", "drift score", "times", "drift"),
    _metric("drift.outlier_ratio", "share of frames unlike the reference", "ratio", "drift"),
    _metric("host.outbox_used_ratio", "outbox in use", "ratio", "outbox"),
    _metric("host.outbox_messages", "messages waiting", "count", "outbox"),
    _metric("host.outbox_durable", "is keeping messages on disk", "state", "outbox", "messages kept on disk"),
    _metric("host.outbox_lost", "messages lost lately", "count", "outbox_loss"),
    _metric("host.outbox_lost_total", "messages lost", "total", "outbox_loss"),
    _metric("host.outbox_merged_total", "messages merged", "total", "outbox"),
    _metric("host.outbox_damaged_total", "damaged outbox files", "total", "outbox_loss"),
    _metric("host.outbox_commits_total", "commits of the outbox", "total", "outbox"),
    _metric("host.outbox_written_bytes_total", "bytes written by delivery", "total", "outbox"),
    _metric("host.delivered_total", "messages delivered", "total", "broker"),
    _metric("host.broker_connected", "is connected to the broker", "state", "broker", "connected"),
)

METRICS = {metric.name: metric for metric in _LISTED}

# The cause of a metric that is not listed (a class of the model, a sensor of this box) follows its name.
_ENTITIES = {
    "camera": "scene",
    "host": "load",
    "gpu": "load",
    "drift": "drift",
    "outbox": "outbox",
    "broker": "broker",
}
_OPEN = (
    (re.compile(r"camera\.detections_[a-z0-9_]+"), "scene"),
    (re.compile(r"(host|gpu)\.[a-z0-9_]*temperature[a-z0-9_]*_celsius"), "heat"),
    (re.compile(r"drift\.[a-z0-9_]+_ratio"), "drift"),
    (re.compile(r"host\.network_[a-z0-9_]+"), "network"),
    (re.compile(r"(host|gpu)\.probe_[a-z0-9_]+"), "load"),
)
_SUFFIXES: dict[str, Unit] = {
    "_seconds": "seconds",
    "_bytes": "bytes",
    "_ratio": "ratio",
    "_celsius": "celsius",
    "_watts": "watts",
    "_hertz": "hertz",
    "_total": "total",
}


def find(name: str, extra: Iterable[str] = ()) -> Metric | None:
    """The metric `name`: listed, of an open family (`camera.detections_CLASS`), or among `extra` names."""
    if name in METRICS:
        return METRICS[name]
    cause = next((cause for pattern, cause in _OPEN if pattern.fullmatch(name)), None)
    if cause is None and name not in set(extra):
        return None
    return unlisted(name, cause)


def unlisted(name: str, cause: str | None = None) -> Metric:
    """A metric told by its name alone: unit by suffix, words by its last part."""
    entity, _, field = name.partition(".")
    suffix, unit = next(((end, unit) for end, unit in _SUFFIXES.items() if name.endswith(end)), ("", ""))
    words = field.removesuffix(suffix).replace("_", " ")
    if entity == "drift" and suffix == "_ratio":
        words, unit = f"drift of {words}", "times"
    if field.startswith("detections_"):
        words, unit = f"detections of {words.removeprefix('detections ')}", "count"
    return _metric(name, words, unit, cause or _ENTITIES.get(entity, entity))
