"""`vedette status`: shows what the running agent is doing."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from agent.cli.local import add_state_arguments
from agent.core import clock

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.epilog = (
        "Exit code 1: no agent answers, or a part of it is stuck or given up (a container's health check)."
    )
    add_state_arguments(parser)
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(args: argparse.Namespace) -> int:
    """Ask and print; 1 where no agent answers, or a worker of it is stuck or given up."""
    from agent.app.control_socket import call
    from agent.cli.local import state_directory
    from agent.core.terminal import console

    reply = call(state_directory(args), "status")
    code = int(not works(reply))
    if args.json:
        print(json.dumps(reply, indent=2))
        return code
    screen = console(soft_wrap=True)
    screen.print(reply["line"])
    info = reply["info"]
    model = f"{info['model_name']} on {info['model_provider']}"
    screen.print(f"vedette {info['version']}, up {_ago(info['started_at'])}, model {model}")
    if reply.get("accuracy"):  # missing from an older agent
        screen.print(accuracy_line(reply["accuracy"], info["model_sha256"]))
    screen.print(broker_line(reply["broker"]))
    screen.print(outbox_line(reply["outbox"]))
    if reply["config_error"]:
        screen.print(_marked("red", "config not reloaded:", f" {reply['config_error']}"))
    if reply["restart_needed_for"]:
        screen.print(
            _marked("yellow", "a restart is needed for:", f" {', '.join(reply['restart_needed_for'])}")
        )
    # No light from an older agent.
    cameras = [{"light_mode": "", **one, "since": _ago(one["since"])} for one in reply["cameras"]]
    screen.print(_table(("camera", "state", "since", "light_mode", "reason"), cameras))
    for camera, line in reply.get("proposals", {}).items():  # missing from an older agent
        screen.print(proposal_line(camera, line))
    for notifier in reply.get("notifiers", ()):  # missing from an older agent
        screen.print(notifier_line(notifier))
    screen.print(_table(("part", "state", "silent_seconds", "failures", "discarded"), reply["parts"]))
    return code


def works(reply: Mapping[str, Any]) -> bool:
    """Whether every worker of the agent makes progress."""
    return not any(part["state"] in {"stuck", "given up"} for part in reply.get("parts", ()))


def broker_line(broker: Mapping[str, Any]) -> Text:
    """The state of the connection; where there is none, since when, why, and what to do."""
    from agent.core.printable import printable

    since = _ago(broker["since"])
    if broker["state"] == "connected":
        line = _marked("", f"broker {broker['broker']}, MQTT {broker['version']}, connected for {since}")
        if broker.get("certificate"):  # missing from an older agent
            line.append(printable(f"; {broker['certificate']}"), "yellow")
        return line
    why = f": {broker['reason']} ({broker['failure']})" if broker["failure"] else ""
    mend = f"; {broker['mend']}" if broker["mend"] else ""
    return _marked("red", f"broker {broker['broker']}, not connected for {since}", f"{why}{mend}")


def outbox_line(outbox: Mapping[str, Any]) -> Text:
    """What waits, where, and what was lost."""
    from agent.core.counts import count
    from agent.core.printable import printable

    line = _marked("", f"outbox: {count(outbox['messages'], 'message waits', 'messages wait')} ")
    if outbox["durable"]:
        line.append("on disk")
    else:
        line.append("IN MEMORY, the disk cannot be used", "red")
    line.append(f", {outbox['used_ratio']:.0%} full")
    if outbox["lost"]:
        line.append(f", {outbox['lost']} lost", "red")
    if outbox.get("refused"):  # missing from an older agent
        line.append(printable(f"; the broker refuses {outbox['refused']}"), "red")
    return line


def accuracy_line(accuracy: Mapping[str, Any], running: str) -> Text:
    """How right the model is by labelled samples, and whether that is of the one that runs."""
    from agent.core.counts import count

    row = accuracy["rows"][0]
    figures = [
        _figure(name, row, key)
        for name, key in (("precision", "precision"), ("recall", "recall"), ("F1", "f1"))
    ]
    line = _marked(
        "",
        f"accuracy on {count(row['frames'], 'labelled frame')}: {', '.join(figures)}; "
        f"evaluated {_ago(accuracy['evaluated_at'])} ago",
    )
    if accuracy["model_sha256"] != running:
        line.append(", of another model than runs now", "yellow")
    return line


def _figure(name: str, row: Mapping[str, Any], key: str) -> str:
    if row[key] is None:
        return f"{name} not known"
    between = (
        f" ({row[f'{key}_low']:.2f} to {row[f'{key}_high']:.2f})" if row[f"{key}_low"] is not None else ""
    )
    return f"{name} {row[key]:.2f}{between}"


def proposal_line(camera: str, line: str) -> Text:
    """What is proposed for the config of a camera."""
    what = "an area changes every second, as a burnt-in clock does; to ignore it for health and drift:"
    return _marked("yellow", f"camera {camera}:", f" {what} {line}")


def notifier_line(notifier: Mapping[str, Any]) -> Text:
    """What a notifier sent, and why it cannot; when it tries again."""
    from agent.core.counts import count
    from agent.core.printable import printable

    line = _marked("", f"notifier {notifier['notifier']} ({notifier['kind']}): ")
    if notifier["state"] == "ok":
        last = f"the last {_ago(notifier['sent_at'])} ago" if notifier["sent_at"] else "nothing yet"
        line.append(f"{count(notifier['sent'], 'notice')} sent, {last}")
        if notifier["reason"]:
            line.append(printable(f"; {notifier['reason']}"), "red")
    else:
        line.append(f"CANNOT DELIVER for {_ago(notifier['failing_since'])}: ", "red")
        line.append(printable(f"{notifier['reason']}; next attempt in {notifier['retry_seconds']:.0f} s"))
    if notifier["waiting"]:
        line.append(f", {count(notifier['waiting'], 'notice waits', 'notices wait')}")
    if notifier["lost"]:
        line.append(f", {notifier['lost']} lost", "red")
    return line


def _marked(style: str, marked: str, rest: str = "") -> Text:
    from rich.text import Text

    from agent.core.printable import printable

    return Text.assemble((printable(marked), style), printable(rest))


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

    return duration(max(0.0, clock.wall() - at))
