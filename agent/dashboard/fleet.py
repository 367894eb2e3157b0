"""State of a fleet as a subscriber knows it: the newest reading of each topic of each device, bounded. Pure.

Laws:

1. No message raises: an unreadable one is counted for its device, with the reason of the last.
2. Memory is bounded: so many devices, and so many cameras, GPUs and alerts of each. What does not fit is counted
   and shown. A device without messages for SILENT_SECONDS is removed when a new one needs its place.
"""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass, field
from typing import TypeVar

from agent.core.printable import printable
from agent.core.untrusted import BadInput, parse_object
from agent.dashboard.readings import (
    NAME,
    AlertReading,
    Body,
    CameraReading,
    GpuReading,
    HostReading,
    StatusReading,
    name_of,
    read_alert,
    read_camera,
    read_gpu,
    read_host,
    read_status,
)

V = TypeVar("V")
HISTORY = 40
MOST_DEVICES = 500
MOST_CAMERAS = 128
MOST_GPUS = 16
MOST_ALERTS = 200
SILENT_SECONDS = 600.0


@dataclass(slots=True)
class CameraHistory:
    """The newest reading of a camera and a short history of what is drawn as a line."""

    reading: CameraReading
    rates: array[float] = field(default_factory=lambda: array("f"))
    drift: array[float] = field(default_factory=lambda: array("f"))

    def add(self, reading: CameraReading) -> None:
        """Make `reading` the newest, and keep the last `HISTORY` values of the lines."""
        self.reading = reading
        for line, value in ((self.rates, reading.fps), (self.drift, reading.drift_ratio)):
            line.append(value or 0.0)
            del line[:-HISTORY]


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetEvent:
    """A change of an alert, and the device it belongs to."""

    device: str
    alert: AlertReading


@dataclass(slots=True)
class Device:
    """One device, by what it published; `bad` counts its unreadable messages, `left_out` those beyond a limit."""

    site: str
    name: str
    state: str = "unknown"
    status: StatusReading | None = None
    model: str = ""
    host: HostReading | None = None
    gpus: dict[str, GpuReading] = field(default_factory=dict)
    cameras: dict[str, CameraHistory] = field(default_factory=dict)
    alerts: dict[str, AlertReading] = field(default_factory=dict)
    messages: int = 0
    last_message_at: float = 0.0
    bad: int = 0
    bad_reason: str = ""
    left_out: int = 0

    def reject(self, topic: str, error: BadInput) -> None:
        """Count a message that cannot be used, and why."""
        self.bad += 1
        self.bad_reason = printable(f"{topic[:NAME]}: {error}", 120)


@dataclass(frozen=True, slots=True, kw_only=True)
class Processed:
    """One message that was processed: whose it is, the topic's family and entity, and the whole body."""

    device: Device
    family: str
    entity: str
    body: Body


class Fleet:
    """Devices by (site, name), fed with messages; belongs to one thread at a time."""

    def __init__(self, prefix: str = "vedette", *, most_devices: int = MOST_DEVICES) -> None:
        self._prefix = prefix.strip("/").split("/")
        self.most_devices = most_devices
        self.devices: dict[tuple[str, str], Device] = {}
        self.events: deque[FleetEvent] = deque(maxlen=200)
        self.left_out = 0

    def process(self, topic: str, payload: bytes, now: float) -> Processed | None:
        """Process one message: another topic is ignored, an unreadable payload counted; None for both."""
        levels = topic.split("/")
        depth = len(self._prefix)
        if levels[:depth] != self._prefix or len(levels) < depth + 3:
            return None
        site, name, family, *rest = levels[depth:]
        if not payload or family == "command":  # cleared, or another's request to the device
            return None
        device = self._device(printable(site, NAME), printable(name, NAME), now)
        if device is None:
            self.left_out += 1
            return None
        device.messages += 1
        device.last_message_at = now
        entity = printable("/".join(rest), NAME)
        try:
            body = parse_object(payload)
            self._file(device, family, entity, body)
        except BadInput as error:
            device.reject(f"{family}/{entity}".strip("/"), error)
            return None
        return Processed(device=device, family=family, entity=entity, body=body)

    def _device(self, site: str, name: str, now: float) -> Device | None:
        known = self.devices.get((site, name))
        if known is not None:
            return known
        if len(self.devices) >= self.most_devices:
            key, oldest = min(self.devices.items(), key=lambda item: item[1].last_message_at)
            if now - oldest.last_message_at < SILENT_SECONDS:
                return None
            del self.devices[key]
        return self.devices.setdefault((site, name), Device(site, name))

    def _file(self, device: Device, family: str, entity: str, body: Body) -> None:
        if family == "status":
            device.status = read_status(body)
            device.state = device.status.state
        elif family == "info":
            name, provider = name_of(body, "model_name"), name_of(body, "model_provider")
            device.model = f"{name} on {provider}" if name else ""
        elif family == "host":
            device.host = read_host(body)
        elif family == "gpu":
            self._keep(device, device.gpus, entity, read_gpu(body), MOST_GPUS)
        elif family == "camera":
            self._camera(device, entity, read_camera(body))
        elif family == "alert":
            self._alert(device, read_alert(body))

    def _camera(self, device: Device, name: str, reading: CameraReading) -> None:
        camera = device.cameras.get(name)
        if camera is None:
            camera = CameraHistory(reading)
            if not self._keep(device, device.cameras, name, camera, MOST_CAMERAS):
                return
        camera.add(reading)

    def _alert(self, device: Device, alert: AlertReading) -> None:
        known = device.alerts.get(alert.id)
        if known is not None and known.state == alert.state:
            return  # republished after a reconnect
        if alert.state == "resolved":
            device.alerts.pop(alert.id, None)
        elif not self._keep(device, device.alerts, alert.id, alert, MOST_ALERTS):
            return
        self.events.append(FleetEvent(device=device.name, alert=alert))

    @staticmethod
    def _keep(device: Device, kept: dict[str, V], key: str, value: V, most: int) -> bool:
        if key not in kept and len(kept) >= most:
            device.left_out += 1
            return False
        kept[key] = value
        return True
