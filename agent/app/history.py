"""Recorded measurements as tables: a row a minute of each camera, the host and each GPU, and the alerts.

Read from the observation log (a week, in the state directory); nothing else is written for it. The columns are the
metrics by their names in rules, without the entity (docs/metrics.md); what was not measured in a minute is absent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from agent.alerts.runtime import observation_log
from agent.core.errors import VedetteError
from agent.core.types import Observation

MINUTE = 60.0
_FEATURE = re.compile("feature_.+_mean")

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
class TimeRange:
    """Unix times from `since` up to `until`."""

    since: float
    until: float

    def holds(self, at: float) -> bool:
        """Whether a time is in it."""
        return self.since <= at < self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryTable:
    """A table to write: its `name` and `columns`, and what gives its rows."""

    name: str
    columns: tuple[str, ...]
    rows: Callable[[], Iterator[Row]]


def measurements(state: Path, span: TimeRange) -> list[HistoryTable]:
    """The tables of measurements that have rows."""
    return [
        HistoryTable(name=table, columns=names, rows=partial(rows, state, span, table))
        for table, names in columns(state, span).items()
    ]


def comparison(state: Path, span: TimeRange, split: float) -> list[HistoryTable]:
    """The features of cameras before and from `split` (Unix time) on: the tables `reference` and `current`.

    Both have the features that both times have, and the minutes in which one of these was measured. Raises
    VedetteError where one of the times has none.
    """
    spans = {
        "reference": TimeRange(since=span.since, until=min(split, span.until)),
        "current": TimeRange(since=max(split, span.since), until=span.until),
    }
    found = {name: columns(state, part).get("cameras", ()) for name, part in spans.items()}
    features = {name: {one for one in names if _FEATURE.fullmatch(one)} for name, names in found.items()}
    common = tuple(sorted(features["reference"] & features["current"]))
    if not common:
        empty = next((name for name in spans if not features[name]), "both")
        raise VedetteError(
            f"no features of cameras are recorded for `{empty}`: choose another --split, or --since"
        )
    return [
        HistoryTable(
            name=name, columns=("time", *KEYS["cameras"], *common), rows=partial(_with, common, state, part)
        )
        for name, part in spans.items()
    ]


def _with(features: tuple[str, ...], state: Path, span: TimeRange) -> Iterator[Row]:
    return (row for row in rows(state, span, "cameras") if any(name in row for name in features))


def columns(state: Path, span: TimeRange) -> dict[str, tuple[str, ...]]:
    """The columns of each table of measurements that has rows: `time`, what a row is of, metrics by name."""
    found: dict[str, set[str]] = {}
    for observation in _observations(state, span):
        table, column = _place(observation)
        if table:
            found.setdefault(table, set()).add(column)
    return {table: ("time", *keys, *sorted(found[table])) for table, keys in KEYS.items() if table in found}


def rows(state: Path, span: TimeRange, table: str) -> Iterator[Row]:
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


def _observations(state: Path, span: TimeRange) -> Iterator[Observation]:
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
