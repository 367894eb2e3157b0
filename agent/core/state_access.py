"""Finds what keeps this user from using the state directory: files of root, a directory that cannot be made."""

from __future__ import annotations

import os
import pwd
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.core.state_dir import is_ours

MOST_NAMED = 5
MOST_SEARCHED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """What is wrong with a state directory, and what to do about it."""

    text: str
    mend: str

    def __str__(self) -> str:
        return f"{self.text}: {self.mend}"


def obstacle(directory: Path) -> Obstacle | None:
    """What keeps the effective user from using `directory` and what the agent keeps in it; None if nothing does."""
    with suppress(OSError):  # what cannot be looked at is reported by who opens it
        found = next(path for path in (directory, *directory.parents) if _exists(path))
        if os.statvfs(found).f_flag & os.ST_RDONLY:
            return Obstacle(
                text=f"the file system of {directory} is read-only",
                mend="mount it writable, or set state_directory to another one",
            )
        if found != directory:
            return None if _usable(found) else _cannot_be_made(directory, found)
        if refused := list(_refused(directory)):
            return _obstacle(directory, refused)
    return None


def _exists(path: Path) -> bool:
    with suppress(PermissionError):  # its parent may not be entered
        return path.exists()
    return False


def _cannot_be_made(directory: Path, parent: Path) -> Obstacle:
    if not os.access(parent, os.X_OK, effective_ids=True):
        return Obstacle(
            text=f"{directory}: this user may not enter {parent}",
            mend="set state_directory to a directory of its own",
        )
    user, _, group = _user().partition(":")
    groups = f" -g {group}" if group else ""
    return Obstacle(
        text=f"{directory} is not there, and this user may not make it",
        mend=f"sudo install -d -m 700 -o {user}{groups} {shlex.quote(str(directory))}",
    )


def _obstacle(directory: Path, refused: list[Path]) -> Obstacle:
    foreign = any(path.lstat().st_uid != os.geteuid() for path in refused)
    change = f"chown -R {_user()}" if foreign else "chmod -R u+rwX"
    return Obstacle(
        text=_named(
            directory, refused, "belong to another user" if foreign else "may not be read or written"
        ),
        mend=f"sudo {change} {shlex.quote(str(directory))}",
    )


def will_be_roots(directory: Path) -> Obstacle | None:
    """Root is at work in another user's directory: what it makes there that user cannot use."""
    with suppress(OSError):
        owner = directory.stat().st_uid
        if owner and os.geteuid() == 0:
            name = _name(owner)
            return Obstacle(
                text=f"root runs the agent in the state directory of user {name}: what it writes, {name} cannot use",
                mend=f"run it as that user (sudo -u {name} ...), or afterwards sudo chown -R {_user(owner)} "
                f"{shlex.quote(str(directory))}",
            )
    return None


def _refused(directory: Path) -> Iterator[Path]:
    """The directory, or what of the agent's own in it cannot be read and written; nothing in a folder that cannot."""
    if not _usable(directory):
        yield directory
        return
    waiting = [path for path in directory.iterdir() if is_ours(path)]
    for _ in range(MOST_SEARCHED):
        if not waiting:
            return
        path = waiting.pop()
        if path.is_symlink():
            continue  # (is refused when it is opened)
        if not _usable(path):
            yield path
        elif path.is_dir():
            waiting += path.iterdir()


def _usable(path: Path) -> bool:
    wanted = os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)
    return os.access(path, wanted, effective_ids=True)


def _named(directory: Path, refused: list[Path], wrong: str) -> str:
    if refused == [directory]:
        return f"the state directory {directory} {wrong.replace('belong ', 'belongs ')}"
    names = sorted(str(path.relative_to(directory)) for path in refused)
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"files in {directory} {wrong} ({', '.join(names[:MOST_NAMED])}{more})"


def _user(number: int | None = None) -> str:
    """The user as chown takes it, with its group: `vedette:`, or numbers where it has no name."""
    number = os.geteuid() if number is None else number
    with suppress(KeyError):
        name = pwd.getpwuid(number).pw_name
        if not name.isdigit():  # a container engine makes such an entry, and the host knows none
            return f"{name}:"
    return f"{number}:{os.getegid() if number == os.geteuid() else number}"


def _name(number: int) -> str:
    return _user(number).partition(":")[0]
