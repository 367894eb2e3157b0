"""Durations and sizes as people write them, and back."""

from __future__ import annotations

import math
import re

LONGEST_DURATION = 10 * 365 * 86400.0  # above, clocks, timers and MQTT's 32-bit fields begin to overflow
LARGEST_SIZE = 2**44
_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_SIZE_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_DURATION = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*(ms|s|m|h|d|w)\s*")
_SIZE = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*([kmg]?i?b?)\s*", re.IGNORECASE)


def parse_duration(value: object) -> float:
    """Seconds of `"5m"`, `"1h30m"`, `"250ms"` or a plain number; raises ValueError, for ten years and more too."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value) if abs(value) <= LONGEST_DURATION else math.nan
    elif isinstance(value, str) and len(value) <= 100 and re.fullmatch(f"(?:{_DURATION.pattern})+", value):
        seconds = sum(float(number) * _DURATION_UNITS[unit] for number, unit in _DURATION.findall(value))
    else:
        raise ValueError("no duration")
    if not abs(seconds) <= LONGEST_DURATION:
        raise ValueError("out of range")
    return seconds


def parse_size(value: object) -> int:
    """Bytes of `"64MB"`, `"1GiB"` or a plain number; raises ValueError, for more than 16 TiB too."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) and len(value) <= 100 else None
    if isinstance(value, int) and not isinstance(value, bool):
        size: float = value
    elif match and match[2].lower() in _SIZE_UNITS:
        size = float(match[1]) * _SIZE_UNITS[match[2].lower()]
    else:
        raise ValueError("no size")
    if not abs(size) <= LARGEST_SIZE:
        raise ValueError("out of range")
    return int(size)


def duration_text(seconds: float) -> str:
    """Seconds as people write them: `"5m"`, `"250ms"`."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if seconds >= size and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    return f"{seconds * 1000:g}ms" if 0 < seconds < 1 else f"{seconds:g}s"


def size_text(size: int) -> str:
    """Bytes as people write them."""
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return f"{size}B"
