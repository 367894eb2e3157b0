"""`vedette grafana`: dashboards for Grafana, on Prometheus' data or on what comes over MQTT."""

from __future__ import annotations

import argparse
from importlib.resources import files
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    export = what.add_parser(
        "export",
        help="write one JSON file for each dashboard: fleet, device, camera, drift",
        description="Import the files in Grafana (Dashboards, New, Import), or have it read the folder (provisioning).",
    )
    export.add_argument("folder", metavar="DIR", help="the folder; created if it does not exist")
    export.add_argument(
        "--source",
        choices=("prometheus", "mqtt", "all"),
        default="all",
        help="the data source: Prometheus (history), MQTT (live only), or both (default)",
    )


def run(args: argparse.Namespace) -> int:
    """Write the dashboards of the package to the folder, and print each file's name."""
    from agent.cli.output import write_output
    from agent.core.untrusted import parse_json

    source = "" if args.source == "all" else f"{args.source}-"
    shipped = (files("agent") / "grafana").iterdir()
    for board in sorted(
        (file for file in shipped if file.name.startswith(source)), key=lambda file: file.name
    ):
        path = Path(args.folder) / board.name
        content = board.read_bytes()
        write_output(path, content, begins=b"{\n", force=True)
        print(f"{path}  {parse_json(content)['title']}")
    return 0
