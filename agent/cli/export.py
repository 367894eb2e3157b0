"""`vedette export`: what the agent recorded of itself as CSV, JSON lines or Parquet."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.local import add_state_arguments
from agent.cli.times import length
from agent.core.errors import MissingExtra, VedetteError

if TYPE_CHECKING:
    from agent.app.history import Row, TimeRange

_MOST_ALERTS = 1_000_000
_EPILOG = """\
examples:
  vedette export --out day --since 1d                    day/cameras.csv, host.csv, gpus.csv, alerts.csv
  vedette export --out week --since 7d --to parquet
  vedette export --out drift --for evidently             drift/reference.csv, current.csv: docs/recipes/evidently.md

A row holds the last value of each metric in a minute (names: `docs/metrics.md`); a state (online, frozen, ...) has a
value only in minutes in which it changed. Alerts have a row for each change. The agent keeps a week of measurements:
docs/export.md.
"""

Write = Callable[[Path, Sequence[str], Iterable["Row"]], int]
"""Writes a table to a file, without its suffix; how many rows."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    add_state_arguments(parser)
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="a new or empty folder")
    parser.add_argument("--since", default="7d", metavar="AGE", help="how far back (default %(default)s)")
    parser.add_argument("--to", choices=tuple(_WRITERS), default="csv", help="format (default csv)")
    parser.add_argument(
        "--for",
        dest="tool",
        choices=("evidently",),
        help="only the features of cameras, in the two tables that this tool compares: reference and current",
    )
    parser.add_argument(
        "--split",
        default="1d",
        metavar="AGE",
        help="with --for: `current` has what is newer than this (default %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Write the tables, and print what is in them."""
    from agent.app.history import ALERT_COLUMNS, TimeRange, alert_row, comparison, measurements
    from agent.cli.local import state_directory
    from agent.cli.output import new_folder
    from agent.core import clock
    from agent.core.terminal import bar

    now = clock.wall()
    state, span = state_directory(args), TimeRange(since=now - length(args.since, "--since"), until=now)
    write = _WRITERS[args.to]
    if args.tool:
        found = comparison(state, span, now - length(args.split, "--split"))
        alerts = []
    else:
        found, alerts = measurements(state, span), _alerts(args, state, span)
    if not found and not alerts:
        raise VedetteError(f"nothing is recorded in {state} since {args.since} ago")
    new_folder(args.out)
    for table in bar(found, len(found), "tables"):
        lines = write(args.out / table.name, table.columns, table.rows())
        print(f"{args.out / table.name}.{args.to}: {lines:,} rows, {len(table.columns)} columns")
    if alerts:
        lines = write(args.out / "alerts", ALERT_COLUMNS, map(alert_row, alerts))
        print(f"{args.out / 'alerts'}.{args.to}: {lines:,} rows")
    return 0


def _alerts(args: argparse.Namespace, state: Path, span: TimeRange) -> list[Any]:
    from agent.app.control_socket import call
    from agent.cli.alerts import stored_history
    from agent.cli.local import agent_runs, whole

    ask = partial(call, state, "history") if agent_runs(args) else partial(stored_history, state)
    try:
        found = whole(ask, {"since": args.since}, "alerts", _MOST_ALERTS)["alerts"]
    except VedetteError:  # no agent, and no alerts of one
        return []
    return [one for one in found if span.holds(one["changed_at"])]


# -- the formats --------------------------------------------------------------------------------------------


def _csv(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> int:
    count = 0
    with path.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for row in rows:
            writer.writerow([_text(name, row.get(name)) for name in columns])
            count += 1
    return count


def _jsonl(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> int:
    count = 0
    with path.with_suffix(".jsonl").open("w", encoding="utf-8") as file:
        for row in rows:
            whole = {name: _text(name, row.get(name)) for name in columns}
            file.write(json.dumps(whole, ensure_ascii=False) + "\n")
            count += 1
    return count


def _text(name: str, value: Any) -> Any:
    from agent.app.history import TIMES

    if name not in TIMES or value is None:
        return value
    return (
        datetime.fromtimestamp(value, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


_ROWS_AT_A_TIME = 10_000


def _parquet(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> int:
    from itertools import islice

    from agent.app.history import TEXTS, TIMES
    from agent.core.installation import how_to_add

    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise MissingExtra(f"Parquet needs the library 'pyarrow': {how_to_add('parquet')}") from None
    kinds = {name: arrow.timestamp("ms", tz="UTC") for name in TIMES} | dict.fromkeys(TEXTS, arrow.string())
    schema = arrow.schema([(name, kinds.get(name, arrow.float64())) for name in columns])
    each, count = iter(rows), 0
    with parquet.ParquetWriter(path.with_suffix(".parquet"), schema, compression="zstd") as writer:
        while batch := list(islice(each, _ROWS_AT_A_TIME)):
            values = {name: [_milliseconds(name, row.get(name)) for row in batch] for name in columns}
            writer.write_table(arrow.table(values, schema=schema))
            count += len(batch)
    return count


def _milliseconds(name: str, value: Any) -> Any:
    from agent.app.history import TIMES

    return round(1000 * value) if name in TIMES and value is not None else value


_WRITERS: dict[str, Write] = {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}
