"""State on disk: where it lives, and snapshots that a power cut cannot tear."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agent.core.errors import VedetteError
from agent.core.user import home

LOCK_FILE = "agent.lock"
_OURS = (
    "clock.json",
    "golden.json",
    "outbox.db",
    "alerts.sqlite3",
    "crash",
    "quarantine",
    "notices",
    "logbook",
    "observations",
    "references",
    "samples",
    "engines",
    "models",
    "clock",
)
"""How the names of what the agent keeps begin; a configured state directory may hold other files too."""


def directory(configured: str = "") -> Path:
    """The state directory: `configured`, else systemd's, else /var/lib/vedette for root, else the user's own.

    Raises VedetteError where none is given and the user has no home.
    """
    if configured:
        return Path(configured)
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    if os.geteuid() == 0:
        return Path("/var/lib/vedette")
    return Path(os.environ.get("XDG_STATE_HOME") or home() / ".local" / "state") / "vedette"


def keep_private(directory: Path) -> None:
    """From now on what this process makes is its user's alone to read; so is what is in `directory` from before.

    Alerts, references and a crash's words are nobody else's business, and the unit's UMask holds only under systemd.
    """
    os.umask(0o077)
    with suppress(OSError):
        if (directory / LOCK_FILE).exists() and all(map(is_ours, directory.iterdir())):
            _close_to_others(directory)
        for path in directory.iterdir():
            if path.name.startswith(_OURS):
                _close_to_others(path)
                for inner in path.rglob("*") if path.is_dir() and not path.is_symlink() else ():
                    _close_to_others(inner)


def is_ours(path: Path) -> bool:
    """Whether the agent made `path`, which lies in its state directory; by its name."""
    return path.name.startswith((*_OURS, LOCK_FILE, "control", "."))


def _close_to_others(path: Path) -> None:
    """Take the rights of group and others away, where it is a plain file or folder of ours; never of a link's end."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        found = os.fstat(handle)
        if found.st_uid == os.geteuid() and found.st_mode & 0o077:
            os.fchmod(handle, stat.S_IMODE(found.st_mode) & 0o700)
    finally:
        os.close(handle)


def claim(
    directory: Path,
    lock: str = LOCK_FILE,
    taken: str = "another agent (process {}) uses this state directory; stop it, or give this one its own with "
    "state_directory",
) -> Callable[[], None]:
    """Keep any other agent from using `directory`; what is returned gives it free, and so does the process's end.

    Raises VedetteError with `taken` and the process where another one uses it: two would send each other's messages. A
    disk that takes no `lock` file (read-only, full) is used without.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        handle = os.open(directory / lock, flags, 0o600)
    except OSError:
        return lambda: None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(handle, 32).decode(errors="replace").strip()
        os.close(handle)
        raise VedetteError(f"{directory}: {taken.format(holder or '?')}") from None
    except OSError:  # a file system without locks
        pass
    with suppress(OSError):
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
    return lambda: os.close(handle)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the only one, of all processes, inside who names `path`, a file that is made; raises OSError.

    For what is read, changed and written: short, and where the file system has no locks, without.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def write_atomic(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace the file at `path` by `data`: after a crash it holds the old bytes or the new, never a mixture.

    A link at `path` is replaced, not followed; a folder or device is left as it is. Raises OSError that names `path`.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_special(path)
        _replace(path, data, mode)
        sync_directory(path.parent)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def _refuse_special(path: Path) -> None:
    """Root could replace /dev/null by a file."""
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not (stat.S_ISREG(kind) or stat.S_ISLNK(kind)):
        raise OSError(errno.EEXIST, "exists and is not a plain file")


def _replace(path: Path, data: bytes, mode: int) -> None:
    # The name cannot be foreseen and must be new: who may write to the folder could else have put a link there.
    scratch = path.with_name(f".{path.name[:200]}.{secrets.token_hex(8)}.tmp")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(scratch, flags, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def unlinked(path: str, flags: int) -> int:
    """An opener for `open` that follows no link, whoever may have put one there."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)


def private(path: str, flags: int) -> int:
    """The same for a file of its owner alone."""
    handle = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    os.fchmod(handle, 0o600)
    return handle


def refuse_link(path: Path) -> None:
    """Raise OSError where a link is at `path`: for who opens files by name alone, as SQLite does."""
    if path.is_symlink():
        raise OSError(errno.ELOOP, "is a link that the agent did not make: remove it", str(path))


@contextmanager
def as_owner(directory: Path) -> Iterator[None]:
    """Do what follows with the rights of the directory's owner, where root does not own it; else change nothing.

    A command run as root works on files that the service may change: whatever links lie there lead no further than
    the service itself could go, and what is written belongs to it.
    """
    owner = _foreign_owner(directory) if os.geteuid() == 0 else None
    if owner is None:
        yield
        return
    before = os.getegid(), os.getgroups()
    try:
        _become(*owner)
        yield
    finally:
        os.seteuid(0)
        os.setegid(before[0])
        os.setgroups(before[1])


def _foreign_owner(directory: Path) -> tuple[int, int] | None:
    try:
        link, found = directory.lstat(), directory.stat()
    except OSError:
        return None  # it is made, and is root's then
    if link.st_uid not in (0, found.st_uid):
        raise VedetteError(f"{directory} is a link of another user: give the state directory itself")
    return (found.st_uid, found.st_gid) if found.st_uid else None


def _become(user: int, group: int) -> None:
    try:
        os.setgroups([group])
        os.setegid(group)
        os.seteuid(user)
    except OSError as error:
        raise VedetteError(
            f"root may not act as the state directory's owner here ({error.strerror}): "
            f"run the command as user {user}"
        ) from None


def sync_directory(path: Path) -> None:
    """Have the names in a folder written to disk; raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
