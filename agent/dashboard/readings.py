"""Payloads as a subscriber reads them: typed, bounded, printable; BadInput for anything else. Pure.

A device is not trusted: whatever it sends becomes one of these values or is refused whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.core.printable import printable
from agent.core.untrusted import BadInput, take_integer, take_number, take_text
from agent.delivery.messages import CONNECTION_LOST

Body = Mapping[str, Any]
NAME = 60
"""Characters of a name that are kept and shown."""
SENTENCE = 300
MOST_CLASSES = 8
LATEST = 253402300799.0
"""The end of the year 9999: the last moment that a calendar here knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraReading:
    """One camera in one window; None: not in the message. `classes` are the most detected ones, with their counts."""

    state: str
    fps: float | None
    dropped: float | None
    latency_p50: float | None
    latency_p99: float | None
    boxes: float | None
    drift_ratio: float | None
    drift_state: str
    drift_feature: str
    drift_cause: str
    drift_cause_also: str
    classes: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReading:
    """What a device publishes of itself as a whole; times are Unix times."""

    state: str
    reason: str
    version: str
    since: float | None
    started_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReading:
    """The box in one window: shares from 0 to 1, bytes, degrees."""

    cpu: float | None
    memory: float | None
    agent_bytes: float | None
    temperature: float | None
    busy_limit: float | None
    outbox: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuReading:
    """One GPU in one window."""

    utilization: float | None
    temperature: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertReading:
    """One change of an alert; `at` is Unix time."""

    id: str
    state: str
    severity: str
    what: str
    expected: str
    at: float | None


def read_status(body: Body) -> StatusReading:
    """The status that `body` describes; raises BadInput."""
    return StatusReading(
        state=name_of(body, "state", "unknown"),
        reason=printable(take_text(body, "reason", ""), SENTENCE),
        version=name_of(body, "version"),
        since=moment(body, "since"),
        started_at=moment(body, "started_at"),
    )


def is_last_will(status: StatusReading) -> bool:
    """Whether the broker published it for a device that was cut off; its `since` is when the connection began."""
    return status.state == "offline" and status.reason == CONNECTION_LOST


def read_camera(body: Body) -> CameraReading:
    """The camera that `body` describes; raises BadInput."""
    counts = [
        (
            take_integer(body, key, 0, minimum=0),
            printable(key.removeprefix("detections_").replace("_", " "), NAME),
        )
        for key in body
        if key.startswith("detections_") and key != "detections_per_frame"
    ]
    return CameraReading(
        state=name_of(body, "state", "?"),
        fps=_amount(body, "fps_inferred"),
        dropped=_amount(body, "frames_dropped"),
        latency_p50=_amount(body, "latency_p50_seconds"),
        latency_p99=_amount(body, "latency_p99_seconds"),
        boxes=_amount(body, "detections_per_frame"),
        drift_ratio=_amount(body, "drift_ratio"),
        drift_state=name_of(body, "drift_state", "-"),
        drift_feature=name_of(body, "drift_feature"),
        drift_cause=name_of(body, "drift_cause"),
        drift_cause_also=name_of(body, "drift_cause_also"),
        classes=tuple((name, number) for number, name in sorted(counts, reverse=True)[:MOST_CLASSES]),
    )


def read_host(body: Body) -> HostReading:
    """The host that `body` describes; raises BadInput."""
    return HostReading(
        cpu=_amount(body, "cpu_ratio"),
        memory=_amount(body, "memory_used_ratio"),
        agent_bytes=_amount(body, "process_memory_bytes"),
        temperature=take_number(body, "temperature_celsius", None, minimum=-300, maximum=10_000),
        busy_limit=_amount(body, "model_busy_limit_ratio"),
        outbox=_amount(body, "outbox_messages"),
    )


def read_gpu(body: Body) -> GpuReading:
    """The GPU that `body` describes; raises BadInput."""
    return GpuReading(
        utilization=_amount(body, "gpu_utilization_ratio"),
        temperature=take_number(body, "gpu_temperature_celsius", None, minimum=-300, maximum=10_000),
    )


def read_alert(body: Body) -> AlertReading:
    """The alert that `body` describes; raises BadInput."""
    return AlertReading(
        id=printable(take_text(body, "id"), NAME),
        state=printable(take_text(body, "state"), NAME),
        severity=name_of(body, "severity"),
        what=printable(take_text(body, "what", ""), SENTENCE),
        expected=printable(take_text(body, "expected", ""), SENTENCE),
        at=moment(body, "changed_at"),
    )


def name_of(body: Body, key: str, default: str = "") -> str:
    """A short text of `body`, printable; raises BadInput."""
    return printable(take_text(body, key, default), NAME)


def moment(body: Body, key: str) -> float | None:
    """Unix time of a number or of RFC 3339 text at `key`, None where there is none; raises BadInput."""
    if not isinstance(body.get(key), str):
        found: float | None = take_number(body, key, None, minimum=0, maximum=LATEST)
        return found
    try:
        at = datetime.fromisoformat(body[key].replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError, OSError):
        at = -1.0
    if not 0 <= at <= LATEST:
        raise BadInput(f"`{key}` is {printable(body[key], 40)}; expected a time")
    return at


def _amount(body: Body, key: str) -> float | None:
    found: float | None = take_number(body, key, None, minimum=0, maximum=1e15)
    return found
