"""`vedette devices`: lists the devices that a broker knows, and removes one: clears all that is retained of it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent.cli.broker_options import LOGIN_EPILOG, add_broker_arguments, broker_settings
from agent.core import clock

if TYPE_CHECKING:
    from agent.config.delivery_settings import BrokerSettings
    from agent.delivery.mqtt.retained_client import Cleared, RetainedClient
    from agent.delivery.verify.inventory import DeviceRecord

MOST_SHOWN = 20
_EPILOG = f"""\
examples:
  vedette devices list --broker mqtts://broker --username admin --password-file admin.pw
  vedette devices remove dock-7 --broker mqtts://broker --username admin --password-file admin.pw
  vedette devices remove north/dock-7 --broker mqtt://broker --yes

`remove` clears the messages that the broker retains of a removed or renamed device: status, info, alerts, and entities
in Home Assistant. It lists them and asks first. A device that still runs publishes them again: use `vedette retire` on
the box itself.

{LOGIN_EPILOG}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, _EPILOG
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser(
        "list", help="list the devices, their state, and the number of their retained messages"
    )
    removing = actions.add_parser("remove", help="clear all retained messages of a device")
    removing.add_argument("device", metavar="[SITE/]NAME", help="the device, as `list` names it")
    removing.add_argument("--yes", action="store_true", help="do not ask")
    for action in (listing, removing):
        add_broker_arguments(action)
        action.add_argument(
            "--home-assistant-prefix",
            metavar="TOPIC",
            help="Home Assistant's discovery prefix (default: the config's, else homeassistant)",
        )
    listing.add_argument("--json", action="store_true", help="as JSON")


def run(args: argparse.Namespace) -> int:
    """List, or remove; 1 where something is left."""
    from agent.delivery.mqtt.address import broker_addresses
    from agent.delivery.mqtt.retained_client import RetainedClient
    from agent.delivery.verify.inventory import inventory

    broker = broker_settings(args)
    root = (args.home_assistant_prefix or broker.home_assistant_prefix).strip("/")
    with RetainedClient(broker_addresses(broker)[0], broker) as client:
        filters = (f"{broker.topic_prefix}/#", f"{root}/+/+/+/config")
        devices = inventory(broker.topic_prefix, root, client.read(filters))
        if args.action == "list":
            return _list(devices, as_json=args.json)
        return _remove(client, _chosen(devices, args.device), broker, ask=not args.yes)


def _list(devices: Mapping[tuple[str, str], DeviceRecord], *, as_json: bool) -> int:
    import json

    from rich.table import Table

    from agent.core.printable import printable
    from agent.core.terminal import console
    from agent.delivery.verify.inventory import ghosts

    found = ghosts(devices, clock.wall())
    rows = [
        {
            "site": printable(device.site, 60),
            "device": printable(device.name, 60),
            "state": device.state,
            "since": device.since,
            "firing": device.firing,
            "retained": len(device.topics) + len(device.entities),
            "ghosts": sum(ghost.topic in device.topics or ghost.topic in device.entities for ghost in found),
        }
        for _, device in sorted(devices.items())
    ]
    if as_json:
        print(json.dumps(rows, indent=2))
        return 0
    table = Table(box=None, pad_edge=False)
    for column in ("site", "device", "state", "for", "firing", "retained", "ghosts"):
        table.add_column(column)
    for row in rows:
        shown = {**row, "for": _age(row["since"])}
        table.add_row(*(str(shown[str(column.header)]) for column in table.columns))
    screen = console()
    screen.print(table if rows else "the broker retains no message of any device: is the prefix right?")
    return 0


def _age(since: object) -> str:
    from agent.alerts.words import duration

    return duration(max(0.0, clock.wall() - since)) if isinstance(since, float) else "-"


def _chosen(devices: Mapping[tuple[str, str], DeviceRecord], wanted: str) -> DeviceRecord:
    """The device that is meant; raises VedetteError where there is none, or several."""
    from agent.core.errors import VedetteError
    from agent.core.nearest import unknown
    from agent.core.printable import printable

    names = {f"{site}/{name}": device for (site, name), device in devices.items()}
    found = [device for full, device in names.items() if wanted in {full, device.name}]
    if not found:
        raise VedetteError(
            unknown("device", printable(wanted, 120), [printable(name, 120) for name in sorted(names)])
        )
    if len(found) > 1:
        several = ", ".join(printable(f"{device.site}/{device.name}", 120) for device in found)
        raise VedetteError(f"there are several: {several}; name one of these")
    return found[0]


def _remove(client: RetainedClient, device: DeviceRecord, broker: BrokerSettings, *, ask: bool) -> int:
    from agent.core.counts import count
    from agent.core.printable import printable

    topics = [*device.topics, *device.entities]
    name = printable(f"{device.site}/{device.name}", 120)
    print(f"{name}: {device.state}; {count(len(topics), 'message')} retained:")
    print_topics(topics)
    if device.state not in {"offline", "no status"}:
        print(
            "THE DEVICE RUNS and will publish these messages again: stop it first, or run `vedette "
            "retire` on it"
        )
    if ask and not confirmed(f"clear {count(len(topics), 'message')}?"):
        return 1
    with progress(len(topics)) as show:
        cleared = client.clear(topics, show)
    left = client.read([f"{broker.topic_prefix}/{device.site}/{device.name}/#", *device.entities])
    return print_result(cleared, {topic for topic in topics if topic in left})


def print_topics(topics: list[str]) -> None:
    """Print the topics, not too many, whatever is in them."""
    from agent.core.printable import printable

    for topic in topics[:MOST_SHOWN]:
        print(f"  {printable(topic, 200)}")
    if len(topics) > MOST_SHOWN:
        print(f"  and {len(topics) - MOST_SHOWN} more")


def confirmed(question: str) -> bool:
    """Whether a person answers yes; no where nobody can be asked."""
    import sys

    if not sys.stdin.isatty():
        print(f"{question} there is no terminal to ask on: give --yes")
        return False
    try:
        return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:  # Ctrl-D
        print()
        return False


@contextmanager
def progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, nothing elsewhere."""
    from rich.progress import Progress

    from agent.core.terminal import console

    screen = console(stderr=True)
    with Progress(console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("clearing", total=total)
        yield lambda done: bar.update(task, completed=done)


def print_result(cleared: Cleared, left: set[str]) -> int:
    """Print what was cleared, refused and is left; 1 where something is."""
    from agent.core.counts import count
    from agent.core.printable import printable

    done = len([topic for topic in cleared.topics if topic not in left])
    print(f"{count(done, 'message')} cleared, {len(cleared.refused)} refused, {len(left)} left")
    for topic, reason in list(cleared.refused.items())[:MOST_SHOWN]:
        print(f"  refused: {printable(topic, 200)}: {printable(reason, 200)}")
    unsaid = left - cleared.refused.keys()
    if unsaid:
        print(
            "  acknowledged by the broker, but still retained: may this user write there, or does the "
            "device publish again?"
        )
        print_topics(sorted(unsaid))
    return int(bool(left or cleared.refused))
