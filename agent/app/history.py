"""What the agent recorded of itself as tables: a row a minute of each camera, the host and each GPU, and the alerts.

Read from the observation log (a week, in the state directory); nothing else is written for it. The columns are the
metrics by their names in rules, without the entity (docs/metrics.md); what was not measured in a minute is absent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.alerts.runtime import observation_log
from agent.core.types import Observation

MINUTE = 60.0

Row = dict[str, Any]

KEYS: Mapping[str, tuple[str, ...]] = {"cameras": ("camera",), "host": (), "gpus": ("gpu",)}
"""The tables of measurements, and what each row is of, beside `time`."""

ALERT_COLUMNS = (
    "time",
    "id",
    "rule",
    "state",
    "event",
    "severity",
    "camera",
    "what",
    "expected",
    "window",
    "advice",
    "value",
    "first_seen",
    "evidence",
)
TIMES = ("time", "first_seen")
"""Columns of Unix time, in every table."""

TEXTS = frozenset(ALERT_COLUMNS) - {*TIMES, "value"} | {"gpu"}
"""Columns of text; all others are numbers."""

_TABLES = {
    "camera": "cameras",
    "drift": "cameras",
    "host": "host",
    "outbox": "host",
    "broker": "host",
    "gpu": "gpus",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Unix times from `since` up to `until`."""

    since: float
    until: float

    def holds(self, at: float) -> bool:
        """Whether a time is in it."""
        return self.since <= at < self.until


def columns(state: Path, span: Span) -> dict[str, tuple[str, ...]]:
    """The columns of each table of measurements that has rows: `time`, what a row is of, metrics by name."""
    found: dict[str, set[str]] = {}
    for observation in _observations(state, span):
        table, column = _place(observation)
        if table:
            found.setdefault(table, set()).add(column)
    return {table: ("time", *keys, *sorted(found[table])) for table, keys in KEYS.items() if table in found}


def rows(state: Path, span: Span, table: str) -> Iterator[Row]:
    """The rows of one table, oldest first: in a minute the last value of each metric."""
    open_rows: dict[tuple[float, tuple[Any, ...]], Row] = {}
    for observation in _observations(state, span):
        where, column = _place(observation)
        if where != table:
            continue
        minute = observation.at - observation.at % MINUTE
        key = tuple(observation.labels.get(name) for name in KEYS[table])
        if (minute, key) not in open_rows:
            done = [place for place in open_rows if place[0] < minute - 2 * MINUTE]
            yield from (open_rows.pop(place) for place in done)
            open_rows[minute, key] = {"time": minute, **dict(zip(KEYS[table], key, strict=True))}
        open_rows[minute, key][column] = observation.value
    yield from (open_rows[place] for place in sorted(open_rows, key=str))


def alert_row(alert: Mapping[str, Any]) -> Row:
    """The row of one state change, of the JSON values that the command `history` gives."""
    return {
        **{name: alert.get(name) for name in ALERT_COLUMNS},
        "time": alert["changed_at"],
        "camera": alert["labels"].get("camera", ""),
        "evidence": json.dumps(alert.get("evidence", {}), sort_keys=True),
    }


def _observations(state: Path, span: Span) -> Iterator[Observation]:
    first, last = observation_log.day_of(span.since), observation_log.day_of(span.until)
    for day, path in observation_log.days(state).items():
        if first <= day <= last:
            yield from (one for one in observation_log.read(path) if span.holds(one.at))


def _place(observation: Observation) -> tuple[str, str]:
    """The table and the column of an observation; ("", "") for one of none."""
    entity, _, field = observation.metric.partition(".")
    table = _TABLES.get(entity, "")
    if not table or set(observation.labels) - {*KEYS[table]}:
        return "", ""
    return table, field if entity == table.removesuffix("s") else f"{entity}_{field}"
