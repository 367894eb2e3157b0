"""`vedette schema`: the JSON Schemas of what is published."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("name", nargs="?", help="topic family (default: list them)")


def run(args: argparse.Namespace) -> int:
    """Print one schema, or the names of all."""
    from agent.core.errors import ConfigError
    from agent.delivery.messages import FAMILIES
    from agent.delivery.verify.schemas import schema, schema_text

    if args.name is None:
        for family in FAMILIES:
            print(f"{family:9}{schema(family)['title']}")
        return 0
    if args.name not in FAMILIES:
        raise ConfigError(f"no schema {args.name!r}", expected=f"one of {', '.join(FAMILIES)}")
    print(schema_text(args.name), end="")
    return 0
