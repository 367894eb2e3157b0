"""What the control groups of this process (v1 or v2) allow it, and what the kernel counts there.

Every group counts, from the own one up to the highest that is visible: a limit of a parent holds for its children.
Files that are missing or hold no number mean that there is no limit.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

ROOT = Path("/")
MOST_BYTES = 65536
"""Read at most of one file."""

_V1, _V2 = "cgroup", "cgroup2"


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupLimits:
    """What holds for this process; None where there is no limit or no count.

    `memory_bytes` is the smallest limit that is below the memory of the box, `memory_used_ratio` how full the fullest
    limited group is (file cache that can be dropped is left out), `cpus` processor seconds a second.
    `memory_free_bytes` is what the group nearest to its limit has left.
    `oom_kills` counts processes of the own group that the kernel ended for lack of memory.
    """

    memory_bytes: int | None = None
    memory_used_ratio: float | None = None
    memory_free_bytes: int | None = None
    cpus: float | None = None
    oom_kills: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Memory:
    """The names that a version of control groups has for the same things."""

    limit: str
    used: str
    cache: str
    events: str


_MEMORY = {
    _V1: _Memory(
        limit="memory.limit_in_bytes",
        used="memory.usage_in_bytes",
        cache="total_inactive_file",
        events="memory.oom_control",
    ),
    _V2: _Memory(limit="memory.max", used="memory.current", cache="inactive_file", events="memory.events"),
}


class ControlGroups:
    """The groups of this process as they are now; one object for one sample."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._texts = _text(root / "proc/self/cgroup"), _text(root / "proc/self/mountinfo")

    def limits(self, *, memory_total: int | None = None) -> CgroupLimits:
        """The limits of this process; `memory_total` is the memory of the box in bytes (None: ask the system)."""
        total = memory_total or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        version, groups = _groups("memory", self._root, *self._texts)
        names = _MEMORY[version]
        limits = [
            (group, limit) for group in groups if 0 < (limit := _count(group / names.limit) or 0) < total
        ]
        used = [(found, limit) for group, limit in limits if (found := _used(group, names)) is not None]
        version, cpu_groups = _groups("cpu", self._root, *self._texts)
        cpus = [count for group in cpu_groups if (count := _cpus(group, version)) is not None]
        return CgroupLimits(
            memory_bytes=min((limit for _, limit in limits), default=None),
            memory_used_ratio=max((found / limit for found, limit in used), default=None),
            memory_free_bytes=min((max(0, limit - found) for found, limit in used), default=None),
            cpus=min(cpus, default=None),
            oom_kills=_keyed(groups[0] / names.events, "oom_kill") if groups else None,
        )

    def pressure(self, resource: str) -> dict[str, float]:
        """Share of the last ten seconds in which some, or all, tasks waited for `resource` (cpu, memory, io), 0..1.

        Of the own group where the kernel counts it there (v2), else of the whole box; {} where it does not count.
        """
        _, groups = _groups(resource, self._root, *self._texts)
        paths = (
            *(group / f"{resource}.pressure" for group in groups[:1]),
            self._root / "proc/pressure" / resource,
        )
        return next((found for path in paths if (found := parse_pressure(_text(path)))), {})


def read_limits(root: Path = ROOT, *, memory_total: int | None = None) -> CgroupLimits:
    """The limits of this process now."""
    return ControlGroups(root).limits(memory_total=memory_total)


def parse_pressure(text: str) -> dict[str, float]:
    """The `avg10` of each line of a pressure file, as a ratio 0..1."""
    lines = re.findall(r"^(some|full) avg10=(\d{1,3}(?:\.\d{1,4})?) ", text, flags=re.MULTILINE)
    return {share: min(1.0, float(percent) / 100) for share, percent in lines}


@lru_cache(maxsize=16)  # a box with many mounts has a long table, and it hardly ever changes
def _groups(controller: str, root: Path, membership: str, mounts: str) -> tuple[str, tuple[Path, ...]]:
    """The version that has the controller, and the folders of the own group and of its visible ancestors.

    `membership` and `mounts` are the texts of `/proc/self/cgroup` and `/proc/self/mountinfo`.
    """
    v1, v2 = "", ""
    for line in membership.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller in controllers.split(","):
            v1 = path
        elif number == "0" and not controllers:
            v2 = path
    version, path = (_V1, v1) if v1 else (_V2, v2)
    if not path:
        return version, ()
    for top, mounted in _mounts(version, controller, root, mounts):
        inside = Path(path.lstrip("/") if top == "/" else path[len(top) :].lstrip("/"))
        known = top in ("/", path) or path.startswith(f"{top}/")
        if not known or ".." in inside.parts:
            return version, (mounted,)  # the view of a container: its own group is at the mount point
        own = mounted / inside
        return version, (own, *(parent for parent in own.parents if parent.is_relative_to(mounted)))
    return version, ()


def _mounts(version: str, controller: str, root: Path, mounts: str) -> Iterator[tuple[str, Path]]:
    """What of the hierarchy is mounted (`/` for all of it), and where."""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        where, how = before.split(" "), after.split(" ")
        if len(where) < 5 or len(how) < 3 or how[0] != version:
            continue
        if version == _V2 or controller in how[2].split(","):
            yield _unescaped(where[3]), root / _unescaped(where[4]).lstrip("/")


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-3][0-7]{2})", lambda found: chr(int(found[1], 8)), text)


def _used(group: Path, names: _Memory) -> int | None:
    """Bytes in use, without the file cache that the kernel would drop first."""
    used = _count(group / names.used)
    return None if used is None else max(0, used - (_keyed(group / "memory.stat", names.cache) or 0))


def _cpus(group: Path, version: str) -> float | None:
    if version == _V2:
        quota, _, period = _text(group / "cpu.max").partition(" ")
    else:
        quota, period = _text(group / "cpu.cfs_quota_us"), _text(group / "cpu.cfs_period_us")
    given, of = _number(quota), _number(period)
    return given / of if given and of else None


def _keyed(path: Path, key: str) -> int | None:
    """The number after `key` in a file of lines `key number`."""
    found = re.search(rf"^{key} (\d{{1,20}})$", _text(path), flags=re.MULTILINE | re.ASCII)
    return int(found[1]) if found else None


def _count(path: Path) -> int | None:
    return _number(_text(path))


def _number(text: str) -> int | None:
    """`text` as a number; None for `max`, -1 and whatever else is none."""
    return int(text) if re.fullmatch(r"\d{1,20}", text, flags=re.ASCII) else None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES).decode("utf-8", "replace").strip()
    except (OSError, ValueError):
        return ""
