"""One device as a row of the fleet page: short values, rounded to what is shown, so that few of them change. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from agent.core.camera_states import STATES
from agent.core.types import CameraState
from agent.dashboard.fleet import SILENT_SECONDS, FleetDevice

Cell = str | float | int | None
COLUMNS = (
    "site", "name", "state", "since", "cameras", "cameras_well", "fps", "p99_ms", "cpu", "memory", "temperature",
    "gpu", "gpu_temperature", "drift", "drift_camera", "firing", "severity", "outbox", "version", "model", "reason",
)  # fmt: skip
"""The cells of a row; shares are in per cent, times Unix times, `severity` is the worst of the firing alerts."""
SEVERITIES = ("critical", "warning", "info")


def row_of(device: FleetDevice, now: float) -> tuple[Cell, ...]:
    """The row of `device`, in the order of `COLUMNS`."""
    cameras = [(name, camera.reading) for name, camera in device.cameras.items()]
    drift, where = max(((reading.drift_ratio or 0.0, name) for name, reading in cameras), default=(None, ""))
    firing = [alert.severity for alert in device.alerts.values()]
    gpus, host, status = device.gpus.values(), device.host, device.status
    silent = now - device.last_message_at > SILENT_SECONDS and device.state in {"online", "degraded"}
    away = silent or device.state == "offline"
    return (
        device.site,
        device.name,
        "silent" if silent else device.state,
        int(device.last_message_at) if silent else int(status.since) if status and status.since else None,
        len(cameras),
        0 if away else sum(is_well(reading.state) for _, reading in cameras),
        None if away or not cameras else _rounded(sum(reading.fps or 0.0 for _, reading in cameras), 1),
        _milliseconds(reading.latency_p99 for _, reading in cameras),
        _percent(host.cpu if host else None),
        _percent(host.memory if host else None),
        _rounded(host.temperature if host else None, 0),
        _percent(_largest(gpu.utilization for gpu in gpus)),
        _rounded(_largest(gpu.temperature for gpu in gpus), 0),
        _rounded(drift, 2),
        where,
        len(firing),
        next((severity for severity in SEVERITIES if severity in firing), ""),
        int(host.outbox) if host and host.outbox is not None else None,
        status.version if status else "",
        device.model,
        _reason(device),
    )


def is_well(state: str) -> bool:
    """Whether a camera in this state needs nobody."""
    try:
        return not STATES[CameraState(state)].fault
    except (ValueError, KeyError):
        return False


def _reason(device: FleetDevice) -> str:
    if device.left_out:
        return f"{device.left_out} messages left out: more cameras, GPUs or alerts than are kept"
    if device.bad:
        return f"{device.bad} messages could not be read, the last: {device.bad_reason}"
    return device.status.reason if device.status else "it has no status: perhaps it is a ghost"


def _largest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _rounded(value: float | None, places: int) -> float | int | None:
    if value is None:
        return None
    return round(value, places) if places else round(value)


def _percent(value: float | None) -> float | int | None:
    return _rounded(None if value is None else value * 100, 0)


def _milliseconds(values: Iterable[float | None]) -> float | int | None:
    value = _largest(values)
    return _rounded(None if value is None else value * 1000, 0 if value and value > 0.1 else 1)


def differences(before: tuple[Cell, ...], after: tuple[Cell, ...]) -> dict[int, Cell]:
    """The cells that changed, by their place."""
    return {place: cell for place, cell in enumerate(after) if cell != before[place]}
