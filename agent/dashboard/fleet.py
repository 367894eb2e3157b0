"""State of a fleet as a subscriber knows it: the newest reading of each topic of each device, bounded. Pure.

Laws:

1. No message raises: an unreadable one is counted for its device, with the reason of the last.
2. Memory is bounded: so many devices, so many cameras, GPUs and alerts of each, and so many of these in all. What does
   not fit is counted and shown. A device without messages for SILENT_SECONDS is removed when a new one needs its place.
3. What was cleared at the broker is removed here, and so is a camera that its device's `info` does not name.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from agent.core.printable import printable
from agent.core.untrusted import BadInput, parse_object, take_text
from agent.dashboard.readings import (
    NAME,
    AlertReading,
    Body,
    CameraReading,
    GpuReading,
    HostReading,
    StatusReading,
    is_last_will,
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
MOST_ENTITIES = 200_000
"""Cameras, GPUs and alerts of all devices together."""
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
class FleetDevice:
    """One device, by what it published; `bad` counts its unreadable messages, `left_out` those beyond a limit.

    `configured` are the cameras that it has by its `info`; None where that does not say.
    """

    site: str
    name: str
    state: str = "unknown"
    status: StatusReading | None = None
    model: str = ""
    host: HostReading | None = None
    gpus: dict[str, GpuReading] = field(default_factory=dict)
    cameras: dict[str, CameraHistory] = field(default_factory=dict)
    alerts: dict[str, AlertReading] = field(default_factory=dict)
    configured: frozenset[str] | None = None
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

    device: FleetDevice
    family: str
    entity: str
    body: Body


class Fleet:
    """Devices by (site, name), fed with messages; belongs to one thread at a time.

    `last_heard` gives the time of a device's last message before this fleet began, None where that is not known.
    """

    def __init__(
        self,
        prefix: str = "vedette",
        *,
        most_devices: int = MOST_DEVICES,
        most_entities: int = MOST_ENTITIES,
        last_heard: Callable[[str, str], float | None] = lambda _site, _name: None,
    ) -> None:
        self._prefix = prefix.strip("/").split("/")
        self.most_devices, self.most_entities = most_devices, most_entities
        self._last_heard = last_heard
        self.devices: dict[tuple[str, str], FleetDevice] = {}
        self.events: deque[FleetEvent] = deque(maxlen=200)
        self.left_out = 0
        self._entities = 0
        self._longest_silent_at = float("-inf")

    def process(self, topic: str, payload: bytes, now: float) -> Processed | None:
        """Process one message: another topic is ignored, an unreadable payload counted; None for both."""
        place = self.place_of(topic)
        if place is None or place[2] == "command":  # another's request to the device
            return None
        site, name, family, entity = *place[:3], printable(place[3], NAME)
        if not payload:
            self._clear(site, name, family, entity)
            return None
        device = self._device(site, name, now)
        if device is None:
            self.left_out += 1
            return None
        device.messages += 1
        device.last_message_at = now
        try:
            body = parse_object(payload)
            self._file(device, family, entity, body, now)
        except BadInput as error:
            device.reject(f"{family}/{entity}".strip("/"), error)
            return None
        return Processed(device=device, family=family, entity=entity, body=body)

    def place_of(self, topic: str) -> tuple[str, str, str, str] | None:
        """Site, device, family and entity (as it came) of a topic; None where it is none of this prefix."""
        levels = topic.split("/")
        depth = len(self._prefix)
        if levels[:depth] != self._prefix or len(levels) < depth + 3:
            return None
        site, name, family, *rest = levels[depth:]
        return printable(site, NAME), printable(name, NAME), family, "/".join(rest)

    def _clear(self, site: str, name: str, family: str, entity: str) -> None:
        """A retained message was removed: that of a status goes with the device."""
        if family == "status" and (site, name) in self.devices:
            self._remove(site, name)
        elif family == "alert" and (device := self.devices.get((site, name))) is not None:
            self.end_alert(device, entity)

    def end_alert(self, device: FleetDevice, number: str) -> bool:
        """Remove an alert that no longer fires; whether it was known."""
        known = device.alerts.pop(number, None) is not None
        self._entities -= known
        return known

    def _remove(self, site: str, name: str) -> None:
        device = self.devices.pop((site, name))
        self._entities -= len(device.cameras) + len(device.gpus) + len(device.alerts)

    def _device(self, site: str, name: str, now: float) -> FleetDevice | None:
        known = self.devices.get((site, name))
        if known is not None:
            return known
        if len(self.devices) >= self.most_devices:
            # Nobody was silent for longer than at the last look and the time since: no look before it can be enough.
            if now - self._longest_silent_at < SILENT_SECONDS:
                return None
            key, oldest = min(self.devices.items(), key=lambda item: item[1].last_message_at)
            self._longest_silent_at = oldest.last_message_at
            if now - oldest.last_message_at < SILENT_SECONDS:
                return None
            self._remove(*key)
        return self.devices.setdefault((site, name), FleetDevice(site, name))

    def _file(self, device: FleetDevice, family: str, entity: str, body: Body, now: float) -> None:
        if family == "status":
            device.status = self._status(device, read_status(body), now)
            device.state = device.status.state
        elif family == "info":
            name, provider = name_of(body, "model_name"), name_of(body, "model_provider")
            device.model = f"{name} on {provider}" if name else ""
            if isinstance(body.get("cameras"), str):
                self._configure(device, take_text(body, "cameras"))
        elif family == "host":
            device.host = read_host(body)
        elif family == "gpu":
            self._keep(device, device.gpus, entity, read_gpu(body), MOST_GPUS)
        elif family == "camera":
            self._camera(device, entity, read_camera(body))
        elif family == "alert":
            self._alert(device, read_alert(body))

    def _status(self, device: FleetDevice, status: StatusReading, now: float) -> StatusReading:
        """`status` with when it began. A last will does not say it: the connection was lost after the last message."""
        if not is_last_will(status):
            return status
        if device.status is None:
            since = self._last_heard(device.site, device.name)
        else:
            since = device.status.since if device.state == "offline" else now
        return replace(status, since=since)

    def _configure(self, device: FleetDevice, names: str) -> None:
        listed = (printable(name, NAME) for name in names.split(",")[: 2 * MOST_CAMERAS])
        device.configured = frozenset(filter(None, listed))
        for name in device.cameras.keys() - device.configured:
            del device.cameras[name]
            self._entities -= 1

    def _camera(self, device: FleetDevice, name: str, reading: CameraReading) -> None:
        if device.configured is not None and name not in device.configured:
            return  # its last messages were delivered after it was removed or renamed
        camera = device.cameras.get(name)
        if camera is None:
            camera = CameraHistory(reading)
            if not self._keep(device, device.cameras, name, camera, MOST_CAMERAS):
                return
        camera.add(reading)

    def _alert(self, device: FleetDevice, alert: AlertReading) -> None:
        known = device.alerts.get(alert.id)
        if known is not None and known.state == alert.state:
            device.alerts[alert.id] = alert  # republished after a reconnect, or its words were updated
            return
        if alert.state == "resolved":
            self.end_alert(device, alert.id)
        elif not self._keep(device, device.alerts, alert.id, alert, MOST_ALERTS):
            return
        self.events.append(FleetEvent(device=device.name, alert=alert))

    def _keep(self, device: FleetDevice, kept: dict[str, V], key: str, value: V, most: int) -> bool:
        if key not in kept:
            if len(kept) >= most or self._entities >= self.most_entities:
                device.left_out += 1
                return False
            self._entities += 1
        kept[key] = value
        return True
