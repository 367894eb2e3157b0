"""`vedette watch`: all devices of a broker, live in the terminal."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from agent.cli.broker_options import DEFAULT_BROKER, LOGIN_EPILOG, add_broker_arguments, broker_settings
from agent.cli.times import seconds
from agent.core import clock
from agent.core.counts import count

if TYPE_CHECKING:
    from rich.console import Console

    from agent.dashboard.fleet import Fleet
    from agent.dashboard.subscriber import Subscriber

_EPILOG = f"""\
examples:
  vedette watch                                   the broker of this machine ({DEFAULT_BROKER})
  vedette watch --config /etc/vedette/config.toml
  vedette watch --broker mqtts://broker --username reader --password-file reader.pw
  vedette watch --raw --seconds 60 > messages.txt

On a terminal it shows a live view; into a pipe it writes a line for each change of an alert, and the view at the end.

{LOGIN_EPILOG}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, _EPILOG
    add_broker_arguments(parser)
    parser.add_argument("--seconds", type=seconds, default=0, metavar="N", help="end after N seconds")
    parser.add_argument("--raw", action="store_true", help="print each message as a line")


def run(args: argparse.Namespace) -> int:
    """Show messages until interrupted, or for `--seconds`."""
    from agent.core.terminal import console
    from agent.dashboard.fleet import Fleet
    from agent.dashboard.subscriber import Subscriber

    broker = broker_settings(args)
    end = clock.monotonic() + args.seconds if args.seconds else float("inf")
    screen = console()
    with Subscriber(broker) as subscriber:
        if args.raw:
            _raw(subscriber, end)
            return 0
        fleet, title = Fleet(broker.topic_prefix), f"vedette watch {broker.topic_prefix}/#"
        if screen.is_terminal:
            _live(screen, subscriber, fleet, title, end)
        else:
            _lines(screen, subscriber, fleet, title, end)
    return 0


def _live(screen: Console, subscriber: Subscriber, fleet: Fleet, title: str, end: float) -> None:
    from rich.live import Live

    from agent.dashboard.view import ScreenSize, draw

    with Live(console=screen, refresh_per_second=4, screen=True, redirect_stdout=False) as live:
        while clock.monotonic() < end:
            subscriber.feed(fleet, clock.wall())
            room = ScreenSize(width=screen.size.width, height=screen.size.height)
            live.update(draw(fleet, clock.wall(), room, title=f"{title}{_remarks(subscriber)}"))
            time.sleep(0.25)


def _remarks(subscriber: Subscriber) -> str:
    """What keeps messages from being shown, behind the title."""
    dropped = f"  {count(subscriber.dropped, 'message')} dropped: too many, too large" * bool(
        subscriber.dropped
    )
    return dropped + f"  REFUSED: {subscriber.refused}" * bool(subscriber.refused)


def _taken(subscriber: Subscriber, end: float) -> Iterator[tuple[str, bytes]]:
    """Each message until `end`; a subscription that a later connection refused is reported once, on stderr."""
    reported = ""
    while (left := end - clock.monotonic()) > 0:
        if subscriber.refused != reported:
            reported = subscriber.refused
            if reported:
                print(f"vedette: {reported}", file=sys.stderr, flush=True)
        if message := subscriber.take(min(left, 1.0)):
            yield message


def _lines(screen: Console, subscriber: Subscriber, fleet: Fleet, title: str, end: float) -> None:
    from agent.dashboard.view import ScreenSize, draw, event_line

    try:
        for message in _taken(subscriber, end):
            last = fleet.events[-1] if fleet.events else None
            fleet.process(*message, clock.wall())
            if fleet.events and fleet.events[-1] is not last:
                screen.print(event_line(fleet.events[-1], device=True))
    finally:
        screen.print(draw(fleet, clock.wall(), ScreenSize(width=120), title=title))


def _raw(subscriber: Subscriber, end: float) -> None:
    for topic, payload in _taken(subscriber, end):
        print(topic, payload.decode("utf-8", "replace").replace("\n", "\\n"), flush=True)
