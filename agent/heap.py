"""Keep the C heap small: what was freed goes back to the system, and threads share few pools."""

from __future__ import annotations

import ctypes

_M_ARENA_MAX = -8  # malloc.h
_ARENAS = 2  # by default eight for each core: every camera's thread that comes and goes leaves a pool behind


def share_arenas() -> None:
    """Have threads share two pools; call it before they start. Does nothing without glibc."""
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_M_ARENA_MAX, _ARENAS)


def trim() -> None:
    """Give back to the system what was freed: loading a model leaves its file's size behind. Nothing without glibc."""
    if malloc_trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        malloc_trim(0)
