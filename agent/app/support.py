"""Collects the texts of `vedette support`: versions, config, status, state and journal of this box.

No secret is in it: each text goes through `mask`, and whatever is a secret on this box (`support_secrets`) is taken out
wherever it stands. No frame is in it: of files in the state directory it has names and sizes. A part that cannot be had
says why, and the others are there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from agent import __version__
from agent.app.control_socket import call
from agent.app.kinds import KINDS
from agent.app.support_secrets import secrets_of
from agent.config.load import load
from agent.config.render import show
from agent.core.child_environment import child_environment
from agent.core.errors import VedetteError
from agent.core.logbook import entries, entry_json
from agent.core.masking import MASK, mask
from agent.core.printable import printable_lines
from agent.core.units import size_text
from agent.telemetry.probes.host import host_facts

JOURNAL_LINES = 2000
LARGEST_PART = 4 << 20  # characters

_LIBRARIES = (
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "numpy",
    "opencv-python-headless",
    "av",
    "paho-mqtt",
    "psutil",
    "nvidia-ml-py",
    "structlog",
    "cryptography",
)
_COMMAND_SECONDS = 20.0
_MOST_FILES = 2000

Run = Callable[[tuple[str, ...]], str]
"""Gives the output of a command; raises OSError."""


def gather(config: Path | None, state: Path, *, unit: str, run: Run | None = None) -> dict[str, str]:
    """The texts by file name. `config` is the agent's file, if there is one, `unit` its systemd unit."""
    run = run or _output
    unit_text = _had(lambda: run(("systemctl", "cat", "--no-pager", unit)))
    secrets = secrets_of(config, unit=unit, unit_text=unit_text)
    parts: Mapping[str, Callable[[], str]] = {
        "versions.txt": _versions,
        "config.toml": lambda: show(load(config, KINDS)) if config else "no config file: all defaults\n",
        "status.json": lambda: _answer(state, "status"),
        "alerts.json": lambda: _answer(state, "alerts"),
        "history.json": lambda: _answer(state, "history"),
        "drift.json": lambda: _answer(state, "drift"),
        "logbook.txt": lambda: _logbook(state),
        "state.txt": lambda: _state(state),
        "unit.txt": lambda: unit_text,
        "service.txt": lambda: run(("systemctl", "show", "--no-pager", unit)),
        "journal.txt": lambda: run(
            ("journalctl", "--no-pager", "-o", "short-iso", "-n", str(JOURNAL_LINES), "-u", unit)
        ),
        "kernel.txt": lambda: run(("journalctl", "--no-pager", "-k", "-p", "warning", "-n", "200")),
    }
    return {name: _clean(_had(part), secrets) for name, part in parts.items()}


def _had(part: Callable[[], str]) -> str:
    try:
        return part()
    except (VedetteError, OSError, subprocess.SubprocessError) as error:
        return f"cannot be had: {error}\n"


def _clean(text: str, secrets: list[str]) -> str:
    """`text` without secrets and signs that a terminal would obey; of what is too long, the end."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return printable_lines(mask(text[-LARGEST_PART:]), LARGEST_PART)


# -- the parts ----------------------------------------------------------------------------------------------


def _versions() -> str:
    lines = [f"vedette {__version__}"]
    for name in _LIBRARIES:
        try:
            lines.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:  # noqa: PERF203  (most are there)
            lines.append(f"{name} is not installed")
    return "\n".join([*lines, *(f"{name} {value}" for name, value in host_facts().items())]) + "\n"


def _answer(state: Path, command: str) -> str:
    return json.dumps(call(state, command), indent=1, ensure_ascii=False) + "\n"


def _logbook(state: Path) -> str:
    return "".join(json.dumps(entry_json(entry), ensure_ascii=False) + "\n" for entry in entries(state))


def _state(state: Path) -> str:
    """The files in the state directory, with sizes, owners and rights, and how full its disk is."""
    disk = shutil.disk_usage(state)
    lines = [f"{state}: {size_text(disk.free)} of {size_text(disk.total)} free"]
    paths = [Path(place, name) for place, folders, files in os.walk(state) for name in (*folders, *files)]
    for path in sorted(paths)[:_MOST_FILES]:
        with suppress(FileNotFoundError):  # the agent is at work meanwhile
            found = path.lstat()
            name = path.relative_to(state)
            lines.append(f"{found.st_mode:o} {found.st_uid}:{found.st_gid} {found.st_size:>12} {name}")
    return "\n".join(lines) + "\n"


def _output(command: tuple[str, ...]) -> str:
    done = subprocess.run(
        command,
        env=child_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_COMMAND_SECONDS,
        check=False,
    )
    return (done.stdout + done.stderr).decode("utf-8", "replace")
