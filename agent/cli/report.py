"""`vedette report`: one HTML file about a camera in a range of time, from the history of a dashboard."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli.store_options import add_store_argument, database_of
from agent.core import clock

if TYPE_CHECKING:
    from agent.dashboard.web.queries import Queries
    from agent.dashboard.web.store import Key, Rows

_BEGINS = b"<!doctype html>"
_EPILOG = """\
examples:
  vedette report --data ~/vedette-dashboard --camera front --since 2h --out report.html
  vedette report --data ~/vedette-dashboard --device north/dock-7 --camera front --since 1d --out report.html
  vedette report --store 'postgresql://db/fleet?user=vedette' --camera front --out report.html

The file holds curves, states, drift, alerts and their runbooks; it loads nothing, and can be mailed.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, _EPILOG
    history = parser.add_mutually_exclusive_group()
    history.add_argument("--data", metavar="DIR", type=Path, help="of `vedette dashboard`")
    add_store_argument(history)
    parser.add_argument("--camera", metavar="NAME", required=True, help="which camera")
    parser.add_argument(
        "--device", metavar="[SITE/]NAME", default="", help="of which device, if several have it"
    )
    parser.add_argument(
        "--since", metavar="DURATION", default="2h", help="how far back (default: %(default)s)"
    )
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="the file to write")
    parser.add_argument("--force", action="store_true", help="replace a file at --out that is no page")


def run(args: argparse.Namespace) -> int:
    """Write the report."""
    from agent.cli.output import refuse_taken, write_output
    from agent.dashboard.web.queries import Queries

    refuse_taken(args.out, begins=_BEGINS, force=args.force)
    with ExitStack() as closing:
        queries, now = Queries(_rows(args, closing)), clock.wall()
        page, key = _written(args, queries, now)
    write_output(args.out, page, begins=_BEGINS, force=args.force)
    print(f"{args.out}: {len(page) / 1000:.0f} kB about camera {args.camera} of {key[0]}/{key[1]}")
    return 0


def _rows(args: argparse.Namespace, closing: ExitStack) -> Rows:
    """The history that the arguments name; raises VedetteError where it is not there."""
    from agent.core.errors import ConfigError, VedetteError
    from agent.dashboard.web.history import FILE, SqliteRows

    if args.data is None and (database := database_of(args)):
        from agent.dashboard.web.postgres.reader import PostgresRows

        return closing.enter_context(PostgresRows(database))
    if args.data is None:
        raise ConfigError(
            "no history is named", file="command line", key="--data", expected="--data DIR, or --store URL"
        )
    path = args.data / FILE
    if not path.is_file():
        raise VedetteError(f"{path} is not there: give the --data of `vedette dashboard`")
    return SqliteRows(path)


def _written(args: argparse.Namespace, queries: Queries, now: float) -> tuple[bytes, Key]:
    """The page, and what it is about."""
    from agent.core.errors import VedetteError
    from agent.core.units import parse_duration

    key = _chosen(queries, args.camera, args.device)
    try:
        seconds = parse_duration(args.since)
    except ValueError as error:
        raise VedetteError(f"--since {args.since}: {error}") from None
    return _page(queries, key, now - seconds, now).encode(), key


def _chosen(queries: Queries, camera: str, device: str) -> Key:
    """The camera that is meant; raises VedetteError where there is none, or several."""
    from agent.core.errors import VedetteError
    from agent.core.nearest import unknown

    keys = queries.cameras()
    found = [
        key for key in keys if key[2] == f"camera/{camera}" and device in {"", key[1], f"{key[0]}/{key[1]}"}
    ]
    if not found:
        raise VedetteError(unknown("camera", camera, sorted({key[2].partition("/")[2] for key in keys})))
    if len(found) > 1:
        several = ", ".join(f"{site}/{name}" for site, name, _ in found[:20])
        raise VedetteError(f"several devices have a camera {camera}: name one with --device: {several}")
    return found[0]


def _page(queries: Queries, key: Key, start: float, end: float) -> str:
    from agent.core.runbook_pages import runbook_page
    from agent.dashboard.web.drift import heat_map_of
    from agent.dashboard.web.queries import span
    from agent.dashboard.web.report import CURVES, Contents, report_page

    site, device, entity = key
    camera, within = entity.partition("/")[2], span(start, end, end)
    found = [
        alert
        for firing in (True, False)
        for alert in queries.alerts(firing=firing, site=site, device=device, since=0.0 if firing else start)
        if alert.get("labels", {}).get("camera", camera) == camera
    ]
    fields = [field for _, lines, _, _ in CURVES for field, _ in lines]
    return report_page(
        Contents(
            title=f"Camera {camera} of {site}/{device}",
            start=start,
            end=end,
            curves=queries.curves(key, fields, within),
            states=queries.states(key, within),
            heat=heat_map_of(queries, key, within),
            marks=queries.marks(site, device, within),
            alerts=[(alert, runbook_page(str(alert.get("rule", "")))) for alert in found],
        )
    )
