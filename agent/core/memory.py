"""Keeps the C heap small: freed memory goes back to the system, and threads share few arenas."""

from __future__ import annotations

import ctypes
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.core.cgroup import read_limits

_M_ARENA_MAX = -8  # malloc.h
_ARENAS = 2  # by default eight for each core: every camera's thread that comes and goes leaves a pool behind


def share_arenas() -> None:
    """Have threads share two pools; call it before they start. Does nothing without glibc."""
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_M_ARENA_MAX, _ARENAS)


@contextmanager
def bounded(most: int = 0) -> Iterator[None]:
    """While it lasts no allocation succeeds that takes this process beyond `most` bytes (0: four fifths of what is
    free).

    For commands that open a model of unknown origin: what it makes inside of itself without declaring it becomes an
    error in words; else the kernel would end the command, or another process of the box.
    """
    most, before = most or free_bytes() * 4 // 5, resource.getrlimit(resource.RLIMIT_DATA)
    if not most or before[0] != resource.RLIM_INFINITY:
        yield
        return
    resource.setrlimit(resource.RLIMIT_DATA, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def free_bytes() -> int:
    """Bytes of memory that this process can still have, and 0 where that is not known."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    free = next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), 0)
    limits = read_limits()
    if limits.memory_free_bytes is None:
        return free
    return min(free, max(1, limits.memory_free_bytes))


def trim() -> None:
    """Give back to the system what was freed: loading a model leaves its file's size behind. Nothing without glibc."""
    if malloc_trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        malloc_trim(0)
