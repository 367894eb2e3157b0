"""What a subscriber knows of a fleet: the newest payload of each topic of each device. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from agent.untrusted import BadInput, parse_json

Body = dict[str, Any]
HISTORY = 40


@dataclass(slots=True)
class Camera:
    """The newest summary of a camera and a short history of what is drawn as a line."""

    body: Body = field(default_factory=dict)
    rates: deque[float] = field(default_factory=lambda: deque(maxlen=HISTORY))
    drift: deque[float] = field(default_factory=lambda: deque(maxlen=HISTORY))


@dataclass(slots=True)
class Device:
    """One device, by what it published."""

    site: str
    name: str
    status: Body = field(default_factory=dict)
    info: Body = field(default_factory=dict)
    host: Body = field(default_factory=dict)
    gpus: dict[str, Body] = field(default_factory=dict)
    cameras: dict[str, Camera] = field(default_factory=dict)
    alerts: dict[str, Body] = field(default_factory=dict)
    messages: int = 0
    heard_at: float = 0.0


class Fleet:
    """Devices by (site, name), fed with messages; belongs to one thread at a time."""

    def __init__(self, prefix: str = "vedette") -> None:
        self._prefix = prefix.strip("/").split("/")
        self.devices: dict[tuple[str, str], Device] = {}
        self.events: deque[Body] = deque(maxlen=200)
        self.unreadable = 0

    def hear(self, topic: str, payload: bytes, now: float) -> None:
        """Take in one message; what is not ours is passed over, what cannot be read is counted."""
        levels = topic.split("/")
        depth = len(self._prefix)
        if levels[:depth] != self._prefix or len(levels) < depth + 3:
            return
        site, name, *rest = levels[depth:]
        if rest and rest[0] == "alert" and not payload:  # a retained alert is cleared when it is resolved
            return
        try:
            body = parse_json(payload)
        except BadInput:
            self.unreadable += 1
            return
        if not isinstance(body, dict):
            self.unreadable += 1
            return
        device = self.devices.setdefault((site, name), Device(site, name))
        device.messages += 1
        device.heard_at = now
        self._file(device, rest, body)

    def _file(self, device: Device, rest: list[str], body: Body) -> None:
        family, entity = rest[0], "/".join(rest[1:])
        if family == "status":
            device.status = body
        elif family == "info":
            device.info = body
        elif family == "host":
            device.host = body
        elif family == "gpu":
            device.gpus[entity] = body
        elif family == "camera":
            camera = device.cameras.setdefault(entity, Camera())
            camera.body = body
            camera.rates.append(float(body.get("fps_inferred") or 0.0))
            camera.drift.append(float(body.get("drift_ratio") or 0.0))
        elif family == "alert":
            self._alert(device, body)

    def _alert(self, device: Device, body: Body) -> None:
        key = str(body.get("id"))
        if device.alerts.get(key, {}).get("state") == body.get("state"):
            return  # republished after a reconnect
        self.events.append({**body, "device_name": device.name})
        if body.get("state") == "resolved":
            device.alerts.pop(key, None)
        else:
            device.alerts[key] = body
