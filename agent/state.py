"""State on disk: where it lives, and snapshots that a power cut cannot tear."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from agent.errors import VedetteError

LOCK_FILE = "agent.lock"


def directory(configured: str = "") -> Path:
    """The state directory: `configured`, else systemd's, else /var/lib/vedette for root, else the user's own."""
    if configured:
        return Path(configured)
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    if os.geteuid() == 0:
        return Path("/var/lib/vedette")
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "vedette"


def claim(directory: Path) -> Callable[[], None]:
    """Keep any other agent from using `directory`; what is returned gives it free, and so does the process's end.

    Raises VedetteError where another one uses it: two would send each other's messages. A disk that takes no lock
    file (read-only, full) is used without.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return lambda: None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(handle, 32).decode(errors="replace").strip()
        os.close(handle)
        raise VedetteError(
            f"{directory}: another agent (process {holder or '?'}) uses this state directory; "
            "stop it, or give this one its own with state_directory"
        ) from None
    except OSError:  # a file system without locks
        pass
    with suppress(OSError):
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
    return lambda: os.close(handle)


def write_atomic(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace the file at `path` by `data`: after a crash it holds the old bytes or the new, never a mixture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
