"""`vedette model golden`: whether the running model still gives what it gave when it was taken in use."""

from __future__ import annotations

import argparse
from typing import Any

_EPILOG = """\
examples:
  vedette model golden                the state, and what was recorded when
  vedette model golden --accept       take the present results as right, after a change that is meant

The agent runs its model on fixed images after each start and every hour ([model] golden_every), and compares the boxes
with those that it gave when it was taken in use; those are made on the CPU, also where a GPU runs the model.
"""


def add_arguments(commands: Any) -> None:
    """Declare `golden` among the commands of `vedette model`."""
    from agent.cli.local import add_state_arguments

    parser = commands.add_parser(
        "golden",
        help="whether the running model still gives what it gave when it was taken in use",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_state_arguments(parser)
    parser.add_argument("--accept", action="store_true", help="take the present results as right")


def run(args: argparse.Namespace) -> int:
    """Print the state; 1 where the results differ."""
    from agent.alerts.words import stamp
    from agent.app.control_socket import call
    from agent.cli.local import state_directory
    from agent.core.counts import count

    state = state_directory(args)
    if args.accept:
        print(call(state, "golden_accept")["text"])
        return 0
    found = call(state, "golden")
    words = {
        "agrees": "the model gives what it gave when it was taken in use",
        "differs": "THE MODEL GIVES OTHER RESULTS than when it was taken in use",
        "waiting": "not checked yet",
        "off": "switched off ([model] golden_every = 0)",
    }
    print(words[found["state"]])
    if found["reason"]:
        print(f"  {found['reason']}")
    if "recorded_at" in found:
        boxes = count(found["boxes"], "box", "boxes")
        print(f"  recorded {stamp(found['recorded_at'])} on {found['recorded_on']}: {boxes}")
    if "checked_at" in found:
        print(f"  last checked {stamp(found['checked_at'])}")
    return int(found["state"] == "differs")
