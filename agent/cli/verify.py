"""`vedette verify`: listen at a broker and judge what arrives: gaps, duplicates, disorder, schema errors, lateness."""

from __future__ import annotations

import argparse

HELP = "listen at a broker and report gaps, duplicates, disorder, schema errors and late messages"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--broker", required=True, metavar="URL", help="mqtt://[USER[:PASSWORD]@]HOST[:PORT]")
    parser.add_argument("--for", dest="length", default="1h", metavar="TIME", help="how long (default 1h)")
    parser.add_argument("--prefix", default="vedette", help="first level(s) of the topics (default vedette)")
    parser.add_argument("--ca-file", default="", help="CA certificates (PEM) for TLS")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Listen, then print the report; 0 where nothing is amiss. Interrupting ends the listening early."""
    import json
    from contextlib import suppress

    from agent.config.schema import BrokerSettings
    from agent.delivery.listener import listen
    from agent.delivery.urls import broker_addresses
    from agent.delivery.verify import Verifier, describe

    seconds = _seconds(args.length)
    address = broker_addresses(BrokerSettings(url=args.broker))[0]
    verifier = Verifier(args.prefix)
    with suppress(KeyboardInterrupt):
        for message, at in listen(address, args.prefix, seconds, ca_file=args.ca_file):
            verifier.hear(message.topic, message.payload, retained=message.retained, now=at)
    report = verifier.report()
    print(json.dumps(report, indent=2) if args.json else describe(report))
    return 0 if report["ok"] and report["devices"] else 1


def _seconds(text: str) -> float:
    from agent.config.convert import parse_duration
    from agent.errors import ConfigError

    try:
        seconds = parse_duration(text)
    except ValueError:
        seconds = 0.0
    if seconds <= 0:
        raise ConfigError(f"--for {text!r} is no length of time", expected="such as 90s, 5m or 1h")
    return seconds
