"""The user that runs the process, who may have no name and no home (a container's `--user 12345`)."""

from __future__ import annotations

import getpass
import os
from pathlib import Path

from agent.core.errors import VedetteError


def home() -> Path:
    """The user's own folder; raises VedetteError where there is none."""
    try:
        return Path.home()  # noqa: TID251  (this is the only place)
    except RuntimeError:
        raise VedetteError(
            f"user {os.geteuid()} has no home folder here: set the environment variable HOME, "
            "or state_directory in the config (or the variable STATE_DIRECTORY)"
        ) from None


def expanded(path: str) -> Path:
    """`path` with `~` and `~name` replaced; raises VedetteError where there is no such home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise VedetteError(
            f"{path}: begins with ~, and there is no such home folder here: give the whole path"
        ) from None


def name() -> str:
    """The user's name, else the number: `user 12345`."""
    try:
        return getpass.getuser()  # noqa: TID251  (as above)
    except (KeyError, OSError, ImportError):  # 3.13 raises OSError, earlier versions KeyError
        return f"user {os.getuid()}"
