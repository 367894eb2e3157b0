"""The memory of anomaly rules in pieces of an hour, so that saving it writes what changed. Pure.

    whole    [{"metric", "labels", "taken_at", "hours": {hour: {day: [value, ...]}}}, ...]     450 kB of four cameras
    pieces   {"hours": [{"metric", "labels", "taken_at"}, ...],
              "hours/DAY/HOUR": [{"metric", "labels", "values": [value, ...]}, ...]}           336 of 2.5 kB

A piece of an hour that is over stays as it is until it is two weeks old.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

NAME = "hours"


def split(whole: Iterable[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The pieces of what `RuleMonitor.memory_snapshot` returns."""
    pieces: dict[str, list[dict[str, Any]]] = {NAME: []}
    for entry in whole:
        series = {name: entry[name] for name in ("metric", "labels")}
        pieces[NAME].append({**series, "taken_at": entry["taken_at"]})
        for hour, days in entry["hours"].items():
            for day, values in days.items():
                pieces.setdefault(f"{NAME}/{day}/{hour}", []).append({**series, "values": values})
    return pieces


def joined(pieces: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The whole of `pieces`; KeyError, TypeError or ValueError for anything else."""
    series = {_key(entry): {"hours": {}, **entry} for entry in pieces.get(NAME, [])}
    for name, entries in pieces.items():
        if name == NAME:
            continue
        _, day, hour = name.split("/")
        for entry in entries:
            if _key(entry) in series:  # else it was discarded since
                series[_key(entry)]["hours"].setdefault(hour, {})[day] = entry["values"]
    return list(series.values())


def _key(entry: Mapping[str, Any]) -> str:
    return json.dumps([entry["metric"], entry["labels"]], sort_keys=True)
