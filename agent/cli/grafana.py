"""`vedette grafana`: dashboards for Grafana, on Prometheus' data or on what comes over MQTT."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

HELP = "write the Grafana dashboards to a folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    export = what.add_parser(
        "export",
        help="write one JSON file a dashboard: fleet, device, camera, drift",
        description="Import the files in Grafana (Dashboards, New, Import), or have it read the folder (provisioning).",
    )
    export.add_argument("folder", metavar="DIR", help="where to; made if it is not there")
    export.add_argument(
        "--source",
        choices=("prometheus", "mqtt", "all"),
        default="all",
        help="the data source: Prometheus (history), MQTT (live only), or both (default)",
    )


def run(args: argparse.Namespace) -> int:
    """Write them, and say so."""
    from agent.cli.output import write_output
    from agent.grafana import dashboards

    folder = Path(args.folder)
    for name, board in dashboards().items():
        if args.source in ("all", name.partition("-")[0]):
            path = folder / f"{name}.json"
            text = json.dumps(board, indent=1, ensure_ascii=False) + "\n"
            write_output(path, text.encode(), begins=b"{\n", force=True)
            print(f"{path}  {board['title']}")
    return 0
