"""Devices of a broker by their retained messages, and ghosts: retained messages without a device. Pure.

A ghost is

- what is retained of a device without a status: it was renamed, or removed in part;
- what is retained of a device that has been offline for `OFFLINE_SECONDS`;
- an entity in Home Assistant, a firing alert, an accuracy or an advice of a camera that its device does not have.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.core.printable import printable
from agent.core.untrusted import BadInput, parse_object
from agent.delivery.home_assistant import node_of
from agent.delivery.messages import unix_time

OFFLINE_SECONDS = 86400.0
MOST_DEVICES = 10_000
_DISCOVERY = re.compile(r"[^/]+/(?P<node>vedette_[A-Za-z0-9_-]+)/[A-Za-z0-9_-]+/config")


@dataclass(slots=True, eq=False, kw_only=True)
class DeviceRecord:
    """One device: `topics` are its own, `entities` those of Home Assistant that point to it; each with its payload."""

    site: str
    name: str
    topics: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    entities: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    status: Mapping[str, Any] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """What its status says; "no status" where none is retained."""
        return printable(self.status.get("state", "no status"), 40)

    @property
    def since(self) -> float | None:
        """Since when, as Unix time."""
        try:
            return unix_time(str(self.status.get("since", "")))
        except (ValueError, OverflowError, OSError):
            return None

    @property
    def firing(self) -> int:
        """How many of its alerts are retained as firing."""
        return sum(_family(topic, self) == "alert" for topic in self.topics)

    @property
    def cameras(self) -> set[str] | None:
        """Its cameras; None where its info does not name them."""
        named = self.info.get("cameras")
        return set(filter(None, named.split(","))) if isinstance(named, str) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ghost:
    """One retained message that nobody stands behind, and why."""

    device: str
    topic: str
    reason: str


def inventory(prefix: str, root: str, retained: Mapping[str, bytes]) -> dict[tuple[str, str], DeviceRecord]:
    """The devices by site and name. `prefix` begins their topics, `root` those of discovery."""
    devices: dict[tuple[str, str], DeviceRecord] = {}
    for topic, payload in retained.items():
        place = _place(prefix, root, topic, payload)
        if place is None or (place not in devices and len(devices) >= MOST_DEVICES):
            continue
        device = devices.setdefault(place, DeviceRecord(site=place[0], name=place[1]))
        body = _body(payload)
        if topic.startswith(f"{root}/") and not topic.startswith(f"{prefix}/"):
            device.entities[topic] = body
            continue
        device.topics[topic] = body
        family = _family(topic, device)
        if family == "status":
            device.status = body
        elif family == "info":
            device.info = body
    return devices


def _place(prefix: str, root: str, topic: str, payload: bytes) -> tuple[str, str] | None:
    """Site and name of the device that `topic` belongs to."""
    if topic.startswith(f"{prefix}/"):
        levels = topic[len(prefix) + 1 :].split("/")
        return (levels[0], levels[1]) if len(levels) >= 3 and levels[2] != "command" else None
    if not topic.startswith(f"{root}/"):
        return None
    entity = _DISCOVERY.fullmatch(topic[len(root) + 1 :])
    status = str(_body(payload).get("availability_topic", ""))
    if entity is None or not status.startswith(f"{prefix}/"):
        return None
    levels = status[len(prefix) + 1 :].split("/")
    known = len(levels) == 3 and levels[2] == "status" and entity["node"] == node_of(levels[1])
    return (levels[0], levels[1]) if known else None


def _family(topic: str, device: DeviceRecord) -> str:
    return topic.partition(f"/{device.site}/{device.name}/")[2].partition("/")[0]


def _body(payload: bytes) -> Mapping[str, Any]:
    try:
        body: Mapping[str, Any] = parse_object(payload)
    except BadInput:
        return {}
    return body


def ghosts(devices: Mapping[tuple[str, str], DeviceRecord], now: float) -> list[Ghost]:
    """The ghosts among what these devices retain, at `now` (Unix time)."""
    return [ghost for device in devices.values() for ghost in _ghosts(device, now)]


def _ghosts(device: DeviceRecord, now: float) -> Iterator[Ghost]:
    name = f"{device.site}/{device.name}"
    whole = _reason(device, now)
    for topic, body in (device.topics | device.entities).items():
        reason = whole or _of_no_camera(topic, body, device)
        if reason:
            yield Ghost(device=printable(name, 120), topic=topic, reason=reason)


def _reason(device: DeviceRecord, now: float) -> str:
    """Why all that the device retains is a ghost; "" where it is not."""
    if not device.status:
        return "there is no status of this device"
    if device.state == "offline" and device.since is not None and now - device.since >= OFFLINE_SECONDS:
        return f"the device has been offline for {(now - device.since) / 86400:.0f} days"
    return ""


def _of_no_camera(topic: str, body: Mapping[str, Any], device: DeviceRecord) -> str:
    if device.cameras is None:
        return ""
    if topic in device.entities:
        kind, _, camera = str(body.get("state_topic", "")).rpartition("/camera/")
        camera = camera if kind else ""
    else:
        key = {"alert": "label_camera", "accuracy": "camera", "advice": "camera"}.get(
            _family(topic, device), ""
        )
        camera = str(body.get(key, ""))
    missing = camera and camera not in device.cameras
    return f"the device has no camera {printable(camera, 60)}" if missing else ""
