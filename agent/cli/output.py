"""Writes the output files of commands: replaces nothing of another kind, follows no link, opens no device."""

from __future__ import annotations

import stat
from pathlib import Path

from agent.core.errors import VedetteError
from agent.core.state_dir import write_atomic


def write_output(path: Path, data: bytes, *, begins: bytes, force: bool = False) -> None:
    """Write `data` to `path`, unless `refuse_taken` refuses. Raises VedetteError."""
    refuse_taken(path, begins=begins, force=force)
    try:
        write_atomic(path, data, mode=0o644)
    except OSError as error:
        raise _unwritable(path, error) from None


def new_folder(path: Path) -> None:
    """Make the folder `path`; VedetteError where something else, or a folder that is not empty, is there."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise VedetteError(f"{path} is there and not empty: give a new folder")
    path.mkdir(parents=True, exist_ok=True)


def refuse_taken(path: Path, *, begins: bytes, force: bool = False) -> None:
    """Raise VedetteError, naming file and remedy, where something is at `path` that may not be replaced.

    That is what is not a plain file, and, but with `force`, a file that does not begin with `begins`: another kind.
    """
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise VedetteError(f"{path} is {_kind(found.st_mode)}: give the path of a file to write")
        with path.open("rb") as file:
            same = file.read(len(begins)) in (begins, b"")
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unwritable(path, error) from None
    if not (same or force):
        raise VedetteError(
            f"{path} is there already and something else: give another path, or replace it with --force"
        )


def _kind(mode: int) -> str:
    return "a folder" if stat.S_ISDIR(mode) else "a link" if stat.S_ISLNK(mode) else "not a plain file"


def _unwritable(path: Path, error: OSError) -> VedetteError:
    return VedetteError(f"{path} cannot be written: {error.strerror or error}; give another path")
