"""`vedette report`: one HTML file about a camera, a device or an alert, from the history of a dashboard."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli.store_options import add_store_argument, database_of
from agent.core import clock

if TYPE_CHECKING:
    from agent.dashboard.web.queries import Queries
    from agent.dashboard.web.report import Contents
    from agent.dashboard.web.store import HistoryReader, Key

_BEGINS = b"<!doctype html>"
_EPILOG = """\
examples:
  vedette report --data ~/vedette-dashboard --camera front --since 2h --out report.html
  vedette report --data ~/vedette-dashboard --device north/dock-7 --since 08:00 --until 09:30 --out report.html
  vedette report --data ~/vedette-dashboard --alert drift-front-0b6a56cc --image front.jpg --out report.html
  vedette report --store 'postgresql://db/fleet?user=vedette' --camera front --out report.html

The file holds curves, states, drift, the verdict, alerts and their runbooks. It is self-contained and can be mailed.
For --image use a file that `vedette snapshot` wrote; the dashboard's own report asks the device for one.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, _EPILOG
    history = parser.add_mutually_exclusive_group()
    history.add_argument("--data", metavar="DIR", type=Path, help="of `vedette dashboard`")
    add_store_argument(history)
    about = parser.add_mutually_exclusive_group()
    about.add_argument(
        "--camera", metavar="NAME", default="", help="report about this camera (default: the device)"
    )
    about.add_argument("--alert", metavar="ID", default="", help="report about this alert, over its time")
    parser.add_argument(
        "--device",
        metavar="[SITE/]NAME",
        default="",
        help="report about this device, or the device of the camera or alert if several have one of that name",
    )
    parser.add_argument(
        "--since",
        metavar="WHEN",
        default="2h",
        help="begin: a duration ago, 09:14 or 2026-01-31T18:00Z (%(default)s)",
    )
    parser.add_argument("--until", metavar="WHEN", default="", help="end, in the same forms (default: now)")
    parser.add_argument("--image", metavar="JPEG", type=Path, help="an image of the camera to include")
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="the file to write")
    parser.add_argument(
        "--force", action="store_true", help="replace a file at --out even if it is not such a page"
    )


def run(args: argparse.Namespace) -> int:
    """Write the report."""
    from dataclasses import replace

    from agent.cli.output import refuse_taken, write_output
    from agent.dashboard.web.queries import Queries
    from agent.dashboard.web.report import report_page

    refuse_taken(args.out, begins=_BEGINS, force=args.force)
    with ExitStack() as closing:
        contents = _contents(args, Queries(_rows(args, closing)), clock.wall())
    if args.image:
        contents = replace(contents, image=_image(args.image), image_note=args.image.name)
    page = report_page(contents).encode()
    write_output(args.out, page, begins=_BEGINS, force=args.force)
    print(f"{args.out}: {len(page) / 1000:.0f} kB about {contents.title[0].lower()}{contents.title[1:]}")
    return 0


def _image(path: Path) -> bytes:
    from agent.core.errors import VedetteError
    from agent.dashboard.web.report import LARGEST_IMAGE, checked_jpeg

    try:
        with path.open("rb") as file:
            return checked_jpeg(file.read(LARGEST_IMAGE + 1))
    except OSError as error:
        raise VedetteError(f"--image {path}: {error.strerror or error}") from None
    except VedetteError as error:
        raise VedetteError(f"--image {path}: {error}") from None


def _rows(args: argparse.Namespace, closing: ExitStack) -> HistoryReader:
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


def _contents(args: argparse.Namespace, queries: Queries, now: float) -> Contents:
    """What the report is about."""
    from agent.core.arguments import take_moment
    from agent.core.errors import VedetteError
    from agent.dashboard.web.report_contents import alert_of, report_of, report_of_alert

    if args.alert:
        site, _, name = args.device.rpartition("/")
        return report_of_alert(queries, alert_of(queries, args.alert, site, name), now)
    start = take_moment({"since": args.since}, "since", None, now, backwards=True)
    end = take_moment({"until": args.until}, "until", None, now, backwards=True) if args.until else now
    if not start < end:
        raise VedetteError(f"--until {args.until} is not after --since {args.since}")
    return report_of(queries, _chosen(queries, args.camera, args.device), start, end)


def _chosen(queries: Queries, camera: str, device: str) -> Key:
    """The camera, or device, that is meant; raises VedetteError where there is none, or several."""
    from agent.core.errors import ConfigError, VedetteError
    from agent.core.nearest import unknown

    if not camera and not device:
        raise ConfigError(
            "nothing is named", file="command line", key="--camera", expected="--camera, --device or --alert"
        )
    keys = queries.cameras() if camera else queries.devices()
    named = [key for key in keys if not camera or key[2] == f"camera/{camera}"]
    found = [key for key in named if device in {"", key[1], f"{key[0]}/{key[1]}"}]
    if not named:
        raise VedetteError(unknown("camera", camera, sorted({key[2].partition("/")[2] for key in keys})))
    if not found:
        raise VedetteError(unknown("device", device, sorted({f"{key[0]}/{key[1]}" for key in named})))
    if len(found) > 1:
        several = ", ".join(f"{site}/{name}" for site, name, _ in found[:20])
        raise VedetteError(f"several devices are meant: name one with --device SITE/NAME: {several}")
    return found[0]
