"""Longer windows from shorter ones: what an hour or a day keeps of each field. Pure.

A percentile is never averaged: of those, as of every field, a roll-up keeps the smallest and the largest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agent.core.metrics.catalogue import merge_of
from agent.core.metrics.definition import Merge
from agent.core.metrics.payloads import is_zero_if_left_out

Aggregate = tuple[float, float, float, float]
"""Sum of the values, seconds that a value is known for, smallest and largest; of a field that is counted the sum is of
the counts, else of value times seconds."""


def is_counted(field: str) -> bool:
    """Whether the values of windows add up."""
    return merge_of(field) is Merge.SUM


def is_percentile(field: str) -> bool:
    """Whether it is a percentile or a maximum, of which no mean can be taken."""
    return merge_of(field) is Merge.LARGEST or any(
        part in field for part in ("_p50_", "_p90_", "_p99_", "_max_")
    )


def left_out_is_zero(field: str) -> bool:
    """Whether a window without the field says that it is 0 (docs/wire.md, how much is sent).

    >>> left_out_is_zero("throttled_ratio"), left_out_is_zero("cpu_ratio")
    (True, False)
    """
    return any(is_zero_if_left_out(family, field) for family in ("camera", "host", "gpu"))


def roll_up(windows: Iterable[tuple[float, Mapping[str, Any]]]) -> dict[str, Aggregate]:
    """The roll-up of (seconds, fields) of windows.

    >>> roll_up([(60.0, {"cpu_ratio": 0.5}), (60.0, {"cpu_ratio": 1.0})])
    {'cpu_ratio': (90.0, 120.0, 0.5, 1.0)}
    """
    rolled: dict[str, Aggregate] = {}
    whole = 0.0
    for seconds, fields in windows:
        whole += seconds
        for name, value in fields.items():
            if isinstance(value, (int, float)):
                weight = 1.0 if is_counted(name) else seconds
                _add(rolled, name, (value * weight, seconds, value, value))
    for name, (_, known, _, _) in rolled.items():
        if known < whole and left_out_is_zero(name):
            _add(rolled, name, (0.0, whole - known, 0.0, 0.0))
    return rolled


def merge(parts: Iterable[Mapping[str, Any]]) -> dict[str, Aggregate]:
    """The roll-up of roll-ups: exactly that of all their windows."""
    rolled: dict[str, Aggregate] = {}
    for part in parts:
        for name, (total, seconds, low, high) in part.items():
            _add(rolled, name, (total, seconds, low, high))
    return rolled


def fuller(before: Mapping[str, Any], new: Mapping[str, Aggregate]) -> dict[str, Aggregate]:
    """Of two roll-ups of one hour, for each field that which covers more time.

    >>> fuller({"cpu_ratio": [30.0, 60.0, 0.5, 0.5]}, {"cpu_ratio": (9.0, 10.0, 0.9, 0.9)})
    {'cpu_ratio': (30.0, 60.0, 0.5, 0.5)}
    """
    longer = {name: entry for name, entry in before.items() if name not in new or entry[1] > new[name][1]}
    return {**new, **{name: (entry[0], entry[1], entry[2], entry[3]) for name, entry in longer.items()}}


def _add(rolled: dict[str, Aggregate], name: str, new: Aggregate) -> None:
    old = rolled.get(name)
    if old is not None:
        new = (old[0] + new[0], old[1] + new[1], min(old[2], new[2]), max(old[3], new[3]))
    rolled[name] = new


def shown(field: str, entry: Aggregate) -> float:
    """The one number that a curve of roll-ups shows: a sum, the largest of a percentile, else the mean over time."""
    total, seconds, _, high = entry
    if is_percentile(field):
        return high
    return total if is_counted(field) else total / seconds
