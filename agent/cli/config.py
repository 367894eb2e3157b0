"""`vedette config`: the effective configuration with secrets masked, or the commented example."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    show = what.add_parser("show", help="every setting in force, defaults included, secrets masked")
    show.add_argument("file", nargs="?", default=None, help="config file (default: all defaults)")
    what.add_parser(
        "example", help="a commented file with every key: `vedette config example > vedette.toml`"
    )


def run(args: argparse.Namespace) -> int:
    """Print it."""
    from agent.app.kinds import KINDS
    from agent.config.load import load
    from agent.config.render import example, show
    from agent.config.schema import Settings

    if args.what == "example":
        print(example(KINDS), end="")
    else:
        print(show(load(args.file, KINDS) if args.file else Settings()), end="")
    return 0
