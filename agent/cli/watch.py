"""`vedette watch`: all devices of a broker, live in the terminal."""

from __future__ import annotations

import argparse
import queue
import time

HELP = "watch all devices of a broker, live"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--broker", default="mqtt://127.0.0.1:1883", help="broker address (default %(default)s)"
    )
    parser.add_argument("--prefix", default="vedette", help="topic prefix (default %(default)s)")
    parser.add_argument("--ca-file", default="", help="CA certificates for mqtts://")
    parser.add_argument("--seconds", type=float, default=0, metavar="N", help="end after N seconds")
    parser.add_argument("--raw", action="store_true", help="print each message as a line instead")


def run(args: argparse.Namespace) -> int:
    """Show until interrupted."""
    from rich.live import Live

    from agent.dashboard.fleet import Fleet
    from agent.dashboard.subscriber import Subscriber
    from agent.dashboard.view import draw
    from agent.terminal import console

    end = time.monotonic() + args.seconds if args.seconds else float("inf")
    screen = console()
    with Subscriber(args.broker, args.prefix, ca_file=args.ca_file) as subscriber:
        if args.raw:
            return _raw(subscriber.messages, end)
        fleet = Fleet(args.prefix)
        with Live(console=screen, refresh_per_second=4, screen=screen.is_terminal) as live:
            while time.monotonic() < end:
                subscriber.feed(fleet, time.time())
                live.update(draw(fleet, time.time(), title=f"vedette watch {args.prefix}/#"))
                time.sleep(0.25)
    return 0


def _raw(messages: queue.SimpleQueue[tuple[str, bytes]], end: float) -> int:
    while (left := end - time.monotonic()) > 0:
        try:
            topic, payload = messages.get(timeout=min(left, 1.0))
        except queue.Empty:
            continue
        print(topic, payload.decode("utf-8", "replace"), flush=True)
    return 0
