"""Home Assistant's MQTT discovery: for each thing worth showing, a retained message that says where it is found. Pure.

One message an entity, as every Home Assistant since 2022 reads them; values stay in the topics that exist anyway.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent import __version__
from agent.config.report_plan import ReportPlan
from agent.config.schema import Settings
from agent.core.camera_states import STATES
from agent.core.printable import printable
from agent.delivery.identity import Identity

Json = dict[str, Any]

EXPIRE_SUMMARIES = 3
"""A value that is not renewed for so many summaries is shown as unavailable."""

_UNITS: Mapping[str, Json] = {
    "_ratio": {"unit_of_measurement": "%"},
    "_celsius": {"unit_of_measurement": "°C", "device_class": "temperature"},
    "_watts": {"unit_of_measurement": "W", "device_class": "power"},
    "_seconds": {"unit_of_measurement": "s", "device_class": "duration"},
    "_bytes": {"unit_of_measurement": "B", "device_class": "data_size"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryTopics:
    """Where a device publishes: `prefix` is its part of the topics, `root` Home Assistant's discovery prefix."""

    root: str
    prefix: str
    device: str
    site: str
    summary_seconds: float

    @classmethod
    def of(cls, settings: Settings, identity: Identity) -> DiscoveryTopics:
        """The place of a device as configured."""
        return cls(
            root=settings.broker.home_assistant_prefix,
            prefix=identity.prefix,
            device=identity.device,
            site=identity.site,
            summary_seconds=ReportPlan.of(settings).summary_seconds,
        )

    @property
    def node(self) -> str:
        """What all entities of the device are called by."""
        return node_of(self.device)


def node_of(device: str) -> str:
    """What all entities of a device are called by."""
    return "vedette_" + re.sub(r"[^A-Za-z0-9_-]", "_", device)


def discovery(place: DiscoveryTopics, info: Mapping[str, Any], cameras: Iterable[str]) -> dict[str, bytes]:
    """Topic and payload of every discovery message of a device; `info` is what the topic `info` says, GPUs
    included."""
    entities = [
        *_device(),
        *(one for name in cameras for one in _camera(name)),
        *(one for n in range(int(info.get("gpu_count", 0))) for one in _gpu(n)),
    ]
    return {
        f"{place.root}/{entity['kind']}/{place.node}/{entity['id']}/config": _payload(place, info, entity)
        for entity in entities
    }


def _payload(place: DiscoveryTopics, info: Mapping[str, Any], entity: Json) -> bytes:
    status = f"{place.prefix}/status"
    body: Json = {
        "name": entity["name"],
        "unique_id": f"{place.node}_{entity['id']}",
        # How the entity is called at first: until 2025.9 by the one, from 2025.10 by the other. Each ignores the other
        # (2024.3.3 and 2026.11.0 run), and neither warns where both are given.
        "object_id": f"{place.node}_{entity['id']}",
        "default_entity_id": f"{entity['kind']}.{place.node}_{entity['id']}".lower().replace("-", "_"),
        "state_topic": f"{place.prefix}/{entity['topic']}",
        **entity["more"],
        "availability_topic": status,
        "availability_template": "{{ 'offline' if value_json.state == 'offline' else 'online' }}",
        "device": {
            "identifiers": [place.node],
            "name": place.device,
            "manufacturer": "Vedette",
            "model": printable(info.get("machine_model") or info.get("model_name") or "edge box", 80),
            "sw_version": __version__,
            "suggested_area": place.site,
        },
        "origin": {"name": "vedette", "sw_version": __version__},
    }
    if "json_attributes_template" in body:
        body["json_attributes_topic"] = body["state_topic"]
    if entity["windowed"]:
        body["expire_after"] = round(EXPIRE_SUMMARIES * place.summary_seconds)
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _entity(kind: str, key: str, name: str, topic: str, *, windowed: bool = True, **more: Any) -> Json:
    return {"kind": kind, "id": _plain(key), "name": name, "topic": topic, "windowed": windowed, "more": more}


def _number(key: str, name: str, topic: str, field: str) -> Json:
    """A sensor for one number of a payload; shares are shown in per cent."""
    value = f"value_json.{field}"
    shown = f"({value} * 100) | round(1)" if field.endswith("_ratio") else value
    unit = next((unit for end, unit in _UNITS.items() if field.endswith(end)), {})
    template = f"{{{{ {shown} if {value} is defined and {value} is number else None }}}}"
    return _entity("sensor", key, name, topic, value_template=template, state_class="measurement", **unit)


def _problem(key: str, name: str, topic: str, condition: str, *, windowed: bool = True, **more: Any) -> Json:
    template = f"{{{{ 'ON' if {condition} else 'OFF' }}}}"
    return _entity(
        "binary_sensor",
        key,
        name,
        topic,
        windowed=windowed,
        value_template=template,
        device_class="problem",
        **more,
    )


def _device() -> Iterator[Json]:
    yield _problem(
        "problem",
        "Problem",
        "status",
        "value_json.state == 'degraded'",
        windowed=False,
        json_attributes_template="{{ {'reason': value_json.reason | default('')} | tojson }}",
    )
    yield _entity(
        "sensor",
        "last_alert",
        "Last alert",
        "alert/+",
        windowed=False,
        # A resolved alert is cleared by an empty message: the last state stays.
        value_template="{{ value_json.what[:250] if value_json is defined and value_json.what is defined "
        "else this.state }}",
        json_attributes_template="{{ (value_json if value_json is defined else {}) | tojson }}",
        icon="mdi:alert",
    )
    yield _number("cpu", "Processor", "host", "cpu_ratio")
    yield _number("memory", "Memory", "host", "memory_used_ratio")
    yield _number("disk", "Disk", "host", "disk_used_ratio")
    yield _number("temperature", "Temperature", "host", "temperature_celsius")
    yield _number("outbox", "Messages waiting", "host", "outbox_messages")


def _camera(camera: str) -> Iterator[Json]:
    topic, key = f"camera/{camera}", f"camera_{camera}"
    well = ", ".join(f"'{state.value}'" for state, meaning in STATES.items() if not meaning.fault)
    yield _problem(f"{key}_problem", f"{camera} problem", topic, f"value_json.state not in [{well}]")
    yield _entity(
        "sensor",
        f"{key}_state",
        f"{camera} state",
        topic,
        value_template="{{ value_json.state }}",
        device_class="enum",
        options=[state.value for state in STATES],
        json_attributes_template="{{ {'reason': value_json.state_reason | default('')} | tojson }}",
        icon="mdi:cctv",
    )
    yield _number(f"{key}_fps", f"{camera} frames analysed a second", topic, "fps_inferred")
    yield _number(f"{key}_latency", f"{camera} latency p99", topic, "latency_p99_seconds")
    yield _number(f"{key}_detections", f"{camera} detections a window", topic, "detections")
    yield _number(f"{key}_confidence", f"{camera} confidence", topic, "confidence_mean")


def _gpu(number: int) -> Iterator[Json]:
    topic, key = f"gpu/{number}", f"gpu_{number}"
    yield _problem(
        f"{key}_problem",
        f"GPU {number} problem",
        topic,
        "value_json.gpu_lost | default(0) or value_json.throttled | default(0)",
        json_attributes_template="{{ {'state': value_json.gpu_state | default(''), "
        "'throttled': value_json.throttle_reasons | default('')} | tojson }}",
    )
    yield _number(f"{key}_use", f"GPU {number}", topic, "gpu_utilization_ratio")
    yield _number(f"{key}_memory", f"GPU {number} memory", topic, "gpu_memory_used_ratio")
    yield _number(f"{key}_temperature", f"GPU {number} temperature", topic, "gpu_temperature_celsius")
    yield _number(f"{key}_power", f"GPU {number} power", topic, "gpu_power_watts")


def _plain(key: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", key)
