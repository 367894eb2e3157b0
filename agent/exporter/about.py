"""Metrics computed at each scrape: version, model, alerts, workers, readiness."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agent.core.types import Alert, CameraState, CameraStatus, Severity
from agent.core.worker import Health
from agent.exporter.ledger import LabelTuple, Series


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Each is asked at each scrape, in the HTTP server's thread.

    `missing` says in words what is not ready yet, [] once all is; `info` is what `info` publishes, `device` and
    `site` as in the topics.
    """

    info: Callable[[], Mapping[str, Any]]
    alerts: Callable[[], Iterable[Alert]]
    parts: Callable[[], Iterable[Health]]
    missing: Callable[[], list[str]]
    device: str
    site: str


def own_values(about: About) -> Series:
    """The numbers, by metric and labels."""
    alerts = list(about.alerts())
    parts = list(about.parts())
    return {
        **info_values(about),
        "vedette_ready": {(): float(not about.missing())},
        "vedette_alerts_firing": {
            (severity.value,): float(sum(alert.severity is severity for alert in alerts))
            for severity in Severity
        },
        "vedette_alert_firing": {_alert_labels(alert): 1.0 for alert in alerts},
        "vedette_part_silent_seconds": {(part.name,): part.silent_seconds for part in parts if part.running},
        "vedette_part_failures_total": {(part.name,): float(part.failures) for part in parts},
        "vedette_part_discarded_items_total": {(part.name,): float(part.discarded) for part in parts},
    }


def info_values(about: About) -> Series:
    """What hardly ever changes, as labels of a 1."""
    info = about.info()

    def labels_of(*names: str) -> LabelTuple:
        return tuple(str(info.get(name, "")) for name in names)

    gpus = {
        (
            str(index),
            *labels_of(f"gpu_{index}_name", f"gpu_{index}_uuid", "gpu_driver_version", "cuda_version"),
        ): 1.0
        for index in range(int(info.get("gpu_count", 0)))
    }
    machine = labels_of("machine_model", "os_name", "jetpack_version", "power_mode_name")
    return {
        "vedette_build": {labels_of("version"): 1.0},
        "vedette_device": {(about.device, about.site, *machine): 1.0},
        "vedette_model": {labels_of("model_name", "model_sha256", "model_provider"): 1.0},
        "vedette_gpu": gpus,
    }


def missing(
    parts: Iterable[Health], model_part: str, cameras: Iterable[str], statuses: Iterable[CameraStatus]
) -> list[str]:
    """What is not up yet, in words: the model, cameras that were not tried yet; [] when the agent is ready."""
    loading = any(part.name == model_part and (part.warming or not part.running) for part in parts)
    tried = {status.camera for status in statuses if status.state is not CameraState.STARTING}
    waiting = sorted(set(cameras) - tried)
    return [
        *(["the model is not loaded"] if loading else []),
        *(f"camera {name} has not answered yet" for name in waiting),
    ]


def _alert_labels(alert: Alert) -> LabelTuple:
    return (
        alert.rule,
        alert.severity.value,
        alert.labels.get("camera", ""),
        alert.labels.get("gpu", ""),
    )
