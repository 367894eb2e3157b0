"""Finds the service's password for a command that a person runs: where it is, and whether it is readable."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli.local import SYSTEM_CONFIG
from agent.core.child_environment import child_environment
from agent.core.errors import VedetteError

if TYPE_CHECKING:
    from agent.config.delivery_settings import BrokerSettings

UNIT = "vedette.service"


def with_service_password(broker: BrokerSettings, config: Path) -> BrokerSettings:
    """`broker` with the password that the service of `config` is given, where it has none that is found here.

    Raises VedetteError where that password is needed and only others may read it.
    """
    from agent.delivery.mqtt.login import CREDENTIAL, CREDENTIALS_FOLDER

    if os.environ.get("CREDENTIALS_DIRECTORY") or not _lacks_password(broker):
        return broker
    file = _loaded(config).get(CREDENTIAL) or config.resolve().parent / CREDENTIALS_FOLDER / CREDENTIAL
    if os.access(file, os.R_OK):
        return replace(broker, password_file=str(file))
    if os.path.exists(file):  # noqa: PTH110  (Path.exists raises where the folder is closed to us)
        raise VedetteError(f"the service's password is in {file}, which you may not read; use sudo")
    closed = next((folder for folder in file.parents if folder_is_closed(folder)), None)
    if closed is not None:
        raise VedetteError(f"the service's password may be in {closed}, which you may not open; use sudo")
    return broker


def folder_is_closed(folder: Path) -> bool:
    """Whether `folder` exists but may not be read."""
    return os.path.isdir(folder) and not os.access(folder, os.X_OK)  # noqa: PTH112  (as above)


def _lacks_password(broker: BrokerSettings) -> bool:
    from agent.delivery.mqtt.address import broker_addresses
    from agent.delivery.mqtt.login import has_password

    return any(
        (address.username or broker.username) and not has_password(broker, address)
        for address in broker_addresses(broker)
    )


def _loaded(config: Path) -> dict[str, Path]:
    """What systemd gives to the service by LoadCredential=, by name; nothing for a config that is not the service's."""
    if config.resolve() != SYSTEM_CONFIG.resolve() or not shutil.which("systemctl"):
        return {}
    try:  # `systemctl show` would do, but calls these entries [unprintable] (seen with systemd 252)
        shown = subprocess.run(
            ["systemctl", "cat", UNIT],
            capture_output=True,
            timeout=5,
            check=False,
            env=child_environment(),
        ).stdout.decode("utf-8", "replace")
    except (OSError, subprocess.TimeoutExpired):
        return {}
    found: dict[str, Path] = {}
    for line in shown.splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "LoadCredential":
            name, _, path = value.strip().partition(":")
            found |= {name: Path(path)} if path.startswith("/") else {}
    return found
