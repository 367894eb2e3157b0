"""Who this box is: its name, site and boot, and an MQTT client id that two boxes never share."""

from __future__ import annotations

import hashlib
import re
import socket
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

from agent.config.delivery_settings import BrokerSettings, DeviceSettings

_MACHINE_ID_FILES = (
    "etc/machine-id",
    "var/lib/dbus/machine-id",
    "sys/class/dmi/id/product_uuid",
    "proc/device-tree/serial-number",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Names of this device.

    `boot` is a piece of the kernel's boot id: every start of the box has its own. `machine` stays with the box.
    """

    device: str
    site: str
    boot: str
    client_id: str
    topic_prefix: str
    machine: str = ""

    @property
    def prefix(self) -> str:
        """What every topic of this device begins with."""
        return f"{self.topic_prefix}/{self.site}/{self.device}"


def identify(device: DeviceSettings, broker: BrokerSettings, root: Path = Path("/")) -> Identity:
    """This box's identity by the settings and the machine whose files lie under `root`."""
    fingerprint = _fingerprint(root)
    name = device.name or f"{socket.gethostname().partition('.')[0]}-{fingerprint[:6]}"
    identity = Identity(
        device=topic_level(name),
        site=topic_level(device.site),
        boot=_boot(root),
        client_id=broker.client_id,
        topic_prefix=broker.topic_prefix.strip("/"),
        machine=hashlib.sha256(f"{fingerprint}:machine".encode()).hexdigest()[:8],
    )
    if broker.client_id:
        return identity
    return replace(identity, client_id=_client_id(fingerprint, identity.prefix if device.name else ""))


def _client_id(fingerprint: str, prefix: str) -> str:
    """23 characters, all that MQTT 3.1 promises; agents of one machine with names of their own have each its own."""
    named = hashlib.sha256(f"{fingerprint}:{prefix}".encode()).hexdigest() if prefix else fingerprint
    return f"vedette-{named[:15]}"


def topic_level(name: str) -> str:
    """`name` as one level of a topic.

    >>> topic_level("Dock 7/north")
    'Dock-7-north'
    """
    return re.sub(r"[^\w.-]+", "-", name).strip("-") or "unnamed"


def _fingerprint(root: Path) -> str:
    """A hash that stays with this machine; the machine id itself is confidential (machine-id(5))."""
    for name in _MACHINE_ID_FILES:
        try:
            found = (root / name).read_text(errors="replace").strip("\0 \n")
        except OSError:
            continue
        if found and found != "uninitialized":
            break
    else:
        found = f"{socket.gethostname()}-{uuid.getnode():x}"
    return hashlib.sha256(f"vedette:{found}".encode()).hexdigest()


def _boot(root: Path) -> str:
    try:
        return (root / "proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:
        return uuid.uuid4().hex[:8]
