"""`vedette advise`: what to do about the drift of each camera of this box, with what speaks for it and against."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from agent.cli.local import add_state_arguments

_EPILOG = """\
examples:
  vedette advise                    each camera: what to do, why, and the command
  vedette advise --camera front --json

The advice is based on the cause of the drift (docs/diagnosis.md), its duration, creep, the golden check, and the
samples labelled since then if there are at least twenty.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    add_state_arguments(parser)
    parser.add_argument("--camera", default="", help="this camera alone")
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(args: argparse.Namespace) -> int:
    """Ask the running agent and print."""
    from agent.app.control_socket import call
    from agent.cli.local import state_directory

    cameras = call(state_directory(args), "advice", {"camera": args.camera})["cameras"]
    if args.json:
        print(json.dumps(cameras, indent=2))
        return 0
    for one in cameras:
        _print(one)
    if not cameras:
        print("no camera is watched")
    return 0


def _print(one: Mapping[str, Any]) -> None:
    print(f"camera {one['camera']}: {one['words']}")
    print(f"  {one['command']}")
    for title, reasons in (("for it", one["for_it"]), ("against", one["against"])):
        if reasons:
            print(f"  {title}: {'; '.join(reasons)}")
