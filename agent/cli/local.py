"""What the commands that talk to the running agent share: finding its state directory."""

from __future__ import annotations

import argparse
from pathlib import Path

SYSTEM_CONFIG = Path("/etc/vedette/config.toml")


def add_state_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `--config` and `--state`, which say which agent is meant."""
    parser.add_argument("--config", help=f"the agent's config file (default {SYSTEM_CONFIG} if it is there)")
    parser.add_argument("--state", help="the agent's state directory, instead of --config")


def state_directory(args: argparse.Namespace) -> Path:
    """The state directory of the agent that is meant."""
    from agent.config.load import load
    from agent.kinds import KINDS
    from agent.state import directory

    if args.state:
        return Path(args.state)
    file = args.config or (SYSTEM_CONFIG if SYSTEM_CONFIG.exists() else None)
    return directory(load(file, KINDS).state_directory if file else "")
