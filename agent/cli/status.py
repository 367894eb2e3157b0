"""`vedette status`: what the running agent is doing."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from agent.cli.local import add_state_arguments

if TYPE_CHECKING:
    from rich.table import Table

HELP = "what the running agent is doing"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_state_arguments(parser)
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(args: argparse.Namespace) -> int:
    """Ask and print; 1 where no agent answers."""
    from rich.console import Console

    from agent.cli.local import state_directory
    from agent.control import call

    reply = call(state_directory(args), "status")
    if args.json:
        print(json.dumps(reply, indent=2))
        return 0
    console = Console(highlight=False, soft_wrap=True)
    console.print(reply["line"])
    info = reply["info"]
    model = f"{info['model_name']} on {info['model_provider']}"
    console.print(f"vedette {info['version']}, up {_ago(info['started_at'])}, model {model}")
    console.print(broker_line(reply["broker"]))
    console.print(outbox_line(reply["outbox"]))
    if reply["config_error"]:
        console.print(f"[red]config not reloaded:[/] {reply['config_error']}")
    if reply["restart_needed_for"]:
        console.print(f"[yellow]a restart is needed for:[/] {', '.join(reply['restart_needed_for'])}")
    cameras = [{**camera, "since": _ago(camera["since"])} for camera in reply["cameras"]]
    console.print(_table(("camera", "state", "since", "reason"), cameras))
    console.print(_table(("part", "state", "silent_seconds", "failures"), reply["parts"]))
    return 0


def broker_line(broker: Mapping[str, Any]) -> str:
    """How the connection stands; where there is none, why, since when, and what to do."""
    from rich.markup import escape

    since = _ago(broker["since"])
    if broker["state"] == "connected":
        return f"broker {broker['broker']}, MQTT {broker['version']}, connected for {since}"
    why = f": {broker['reason']} ({broker['failure']})" if broker["failure"] else ""
    mend = f"; {broker['mend']}" if broker["mend"] else ""
    return (
        f"[red]broker {broker['broker']} {broker['state']}, no connection for {since}[/]{escape(why + mend)}"
    )


def outbox_line(outbox: Mapping[str, Any]) -> str:
    """What waits, where, and what was lost."""
    where = "on disk" if outbox["durable"] else "[red]IN MEMORY, the disk cannot be used[/]"
    lost = f", [red]{outbox['lost']} lost[/]" if outbox["lost"] else ""
    return f"outbox: {outbox['messages']} messages wait {where}, {outbox['used_ratio']:.0%} full{lost}"


def _table(columns: tuple[str, ...], rows: Iterable[Mapping[str, Any]]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "))
    for row in rows:
        table.add_row(*(str(row[column]) for column in columns))
    return table


def _ago(at: float) -> str:
    """How long ago a Unix time was, for people."""
    from agent.alerts.words import duration

    return duration(max(0.0, time.time() - at))
