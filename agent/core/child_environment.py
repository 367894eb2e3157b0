"""The environment for processes that the agent starts: without what was given to the agent alone."""

from __future__ import annotations

import os

_FOR_THE_AGENT = ("VEDETTE_", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_")


def child_environment() -> dict[str, str]:
    """Our environment without passwords, systemd's credentials and its sockets."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_FOR_THE_AGENT)}
