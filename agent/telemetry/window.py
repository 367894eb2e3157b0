"""Windows of telemetry: many samples of one entity made into one flat object. Pure.

By name, first match wins:

    throttle_reasons                                  all that were seen
    throttled                                         whether ever; throttled_ratio: how often
    texts, *_total, *uptime_seconds, gpu_lost         the last one
    every other number                                the mean, and for those in WITH_MAX the largest too,
                                                      named with `_max` before the unit (cpu_max_ratio)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.telemetry import Values

WITH_MAX = frozenset(
    {
        "cpu_ratio",
        "memory_used_ratio",
        "temperature_celsius",
        "power_watts",
        "process_cpu_ratio",
        "process_memory_bytes",
        "gpu_utilization_ratio",
        "gpu_memory_used_bytes",
        "gpu_memory_used_ratio",
        "gpu_own_memory_bytes",
        "gpu_temperature_celsius",
        "gpu_power_watts",
    }
)
_UNITS = ("_bytes", "_hertz", "_total")
DIGITS = 5
"""Significant digits published: finer than any sensor here."""


@dataclass(slots=True)
class _Number:
    count: int = 0
    total: float = 0.0
    largest: float = -math.inf
    last: float = math.nan

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value
        self.largest = max(self.largest, value)
        self.last = value


class EntityWindow:
    """The open window of one entity. Belongs to one thread."""

    def __init__(self) -> None:
        self._numbers: dict[str, _Number] = {}
        self._texts: dict[str, str] = {}
        self._reasons: set[str] = set()

    def add(self, values: Mapping[str, float | str]) -> None:
        """Count one sample; NaN and infinities are left out."""
        for name, value in values.items():
            if name == "throttle_reasons":
                self._reasons.update(split_reasons(str(value)))
                self._texts[name] = ""
            elif isinstance(value, str):
                self._texts[name] = value
            elif math.isfinite(value):
                self._numbers.setdefault(name, _Number()).add(float(value))

    def close(self) -> Values:
        """The summary."""
        values: Values = dict(self._texts)
        if "throttle_reasons" in values:
            values["throttle_reasons"] = join_reasons(self._reasons)
        for name, number in self._numbers.items():
            if name == "throttled":
                values[name] = int(number.largest)
                values["throttled_ratio"] = rounded("throttled_ratio", number.total / number.count)
            elif name.endswith(("_total", "uptime_seconds", "_lost")):
                values[name] = rounded(name, number.last)
            else:
                values[name] = rounded(name, number.total / number.count)
                if name in WITH_MAX:
                    values[max_name(name)] = rounded(name, number.largest)
        return values


def max_name(name: str) -> str:
    """`cpu_ratio` → `cpu_max_ratio`."""
    stem, _, unit = name.rpartition("_")
    return f"{stem}_max_{unit}"


def rounded(name: str, value: float) -> float:
    """`value` as published: whole for bytes, hertz and totals, else DIGITS significant digits."""
    if name.endswith(_UNITS):
        return round(value)
    return float(f"{value:.{DIGITS}g}")


def split_reasons(text: str) -> list[str]:
    """The reasons in a `throttle_reasons` text."""
    return [reason for reason in text.split(",") if reason]


def join_reasons(reasons: Iterable[str]) -> str:
    """Reasons as one text, sorted."""
    return ",".join(sorted(reasons))


def merge_values(first: Mapping[str, float | str], second: Mapping[str, float | str]) -> Values:
    """What two probes say of one entity at one moment: the second is believed, reasons to throttle add up."""
    merged: Values = {**first, **second}
    if "throttled" in first and "throttled" in second:
        reasons = (str(values.get("throttle_reasons", "")) for values in (first, second))
        merged["throttled"] = max(int(first["throttled"]), int(second["throttled"]))
        merged["throttle_reasons"] = join_reasons({one for text in reasons for one in split_reasons(text)})
    return merged
