"""`vedette status`: what the running agent is doing."""

from __future__ import annotations

import argparse
import json

from agent.cli.local import add_state_arguments

HELP = "what the running agent is doing"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_state_arguments(parser)
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(args: argparse.Namespace) -> int:
    """Ask and print."""
    from rich.console import Console
    from rich.table import Table

    from agent.cli.local import state_directory
    from agent.control import call

    reply = call(state_directory(args), "status")
    if args.json:
        print(json.dumps(reply, indent=2))
        return 0
    console = Console()
    console.print(reply["line"])
    table = Table(box=None)
    for column in ("camera", "state", "since", "reason"):
        table.add_column(column)
    for camera in reply["cameras"]:
        table.add_row(*(str(camera[key]) for key in ("camera", "state", "since", "reason")))
    console.print(table)
    return 0
