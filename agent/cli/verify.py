"""`vedette verify`: listens at a broker and reports gaps, duplicates, disorder, schema errors, lateness."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from agent.cli.broker_options import LOGIN_EPILOG, add_broker_arguments, broker_settings
from agent.core import clock

if TYPE_CHECKING:
    from agent.config.delivery_settings import BrokerSettings
    from agent.delivery.mqtt.listener import Listener
    from agent.delivery.verify.stream import Verifier

_EPILOG = (
    """what is counted, for each device and kind of message:
  gaps            sequence numbers without a message, a merged message or a reported loss: messages are missing
  reported as lost / merged into others    dropped or merged by the device itself when its queue was full
  came twice      duplicates; allowed with the same content (delivery is at least once), otherwise a fault
  out of order, schema errors               faults
  replayed, late  delivered after an outage; the delay is from time stamp to arrival, by both machines' clocks
  name taken      two machines publish under one device name, in turn
  ghosts          retained messages of devices that were renamed or have been offline for a day, or of removed cameras

A lost connection is restored; an MQTT 5 broker keeps the messages meanwhile. Exit code: 0 no fault; 1 a fault, no
message, or no connection to the broker. Ctrl-C ends early and prints the report.

  vedette verify --config /etc/vedette/config.toml --for 10m
  vedette verify --broker mqtts://broker --username reader --password-file reader.pw --ca-file ca.pem --json

"""
    + LOGIN_EPILOG
)


GHOSTS_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    add_broker_arguments(parser, required=True)
    parser.add_argument("--for", dest="length", default="1h", metavar="TIME", help="how long (default 1h)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Listen, then print the report; 0 where nothing is wrong. Interrupting ends the listening early."""
    import json
    from contextlib import suppress

    from agent.delivery.mqtt.listener import Listener
    from agent.delivery.verify.stream import Verifier, describe
    from agent.logging import setup as log

    log.set_up("warning")
    seconds = seconds_of(args.length)
    broker = broker_settings(args)
    verifier = Verifier(broker.topic_prefix)
    listener = Listener(broker)
    with suppress(KeyboardInterrupt):
        _listen(listener, verifier, seconds)
    report = verifier.report() | {
        "interruptions": [
            {"seconds": round(cut.seconds, 1), "kept": cut.kept, "reason": cut.reason}
            for cut in listener.interruptions
        ]
    }
    report["ghosts"] = _ghosts(broker)
    lines = [describe(report), *_interrupted(report), *_ghost_lines(report["ghosts"])]
    print(json.dumps(report, indent=2) if args.json else "\n".join(lines))
    return 0 if report["ok"] and report["devices"] else 1


def _listen(listener: Listener, verifier: Verifier, seconds: float) -> None:
    with _progress(seconds) as show:
        for heard in listener.hear(seconds):
            if heard is not None:
                message, at = heard
                verifier.process(message.topic, message.payload, retained=message.retained, now=at)
            show(verifier)


def _interrupted(report: dict[str, Any]) -> list[str]:
    cuts = report["interruptions"]
    if not cuts:
        return []
    from agent.core.counts import count

    line = (
        f"the line was down {count(len(cuts), 'time')}, {max(cut['seconds'] for cut in cuts):.0f} s at most"
    )
    if all(cut["kept"] for cut in cuts):
        return [f"{line}; the broker kept what came meanwhile"]
    return [
        f"{line}; the broker did not keep what came meanwhile, so some gaps may be of this listener's making"
    ]


def _ghosts(broker: BrokerSettings) -> list[dict[str, str]]:
    """What is retained and nobody stands behind, as plain values; [] where it cannot be read."""
    from dataclasses import asdict

    from agent.core.errors import DeliveryError
    from agent.delivery.mqtt.address import broker_addresses
    from agent.delivery.mqtt.retained_client import RetainedClient
    from agent.delivery.verify.inventory import ghosts, inventory

    prefix, root = broker.topic_prefix, broker.home_assistant_prefix.strip("/")
    try:
        with RetainedClient(broker_addresses(broker)[0], broker) as client:
            retained = client.read((f"{prefix}/#", f"{root}/+/+/+/config"))
    except DeliveryError:
        return []
    return [asdict(ghost) for ghost in ghosts(inventory(prefix, root, retained), clock.wall())]


def _ghost_lines(found: list[dict[str, str]]) -> list[str]:
    if not found:
        return []
    from agent.core.counts import count
    from agent.core.printable import printable

    shown = [f"  {printable(ghost['topic'], 200)}: {ghost['reason']}" for ghost in found[:GHOSTS_SHOWN]]
    more = [f"  and {len(found) - GHOSTS_SHOWN} more"] * (len(found) > GHOSTS_SHOWN)
    head = f"{count(len(found), 'ghost')}: retained, and nobody stands behind it"
    return [f"{head}; `vedette devices remove` clears what is retained of a device", *shown, *more]


@contextmanager
def _progress(seconds: float) -> Iterator[Callable[[Verifier], None]]:
    """A bar on a terminal, nothing elsewhere; what is yielded moves it on, twice a second at most."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from agent.core.terminal import console

    screen = console(stderr=True)
    columns = (
        TextColumn("listening"),
        BarColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[received]}"),
    )
    began = shown = clock.monotonic()
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as progress:
        task = progress.add_task("", total=seconds, received="")

        def show(verifier: Verifier) -> None:
            nonlocal shown
            now = clock.monotonic()
            if now - shown >= 0.5:
                shown = now
                progress.update(task, completed=now - began, received=_received(verifier))

        yield show


def _received(verifier: Verifier) -> str:
    streams = [stream for device in verifier.devices.values() for stream in device.streams.values()]
    from agent.core.counts import count

    received = sum(stream.received for stream in streams)
    return f"{count(received, 'message')} of {count(len(verifier.devices), 'device')}"


def seconds_of(text: str) -> float:
    """The seconds that `--for` asks for; ConfigError where it is no length of time."""
    from agent.core.errors import ConfigError
    from agent.core.units import parse_duration

    try:
        seconds = parse_duration(text)
    except ValueError:
        seconds = 0.0
    if seconds <= 0:
        raise ConfigError(f"--for {text!r} is not a length of time", expected="such as 90s, 5m or 1h")
    return seconds
