"""`vedette model golden`: checks that the running model still gives the results of its first use."""

from __future__ import annotations

import argparse
from typing import Any

_EPILOG = """\
examples:
  vedette model golden                the state, and what was recorded when
  vedette model golden --accept       accept the present results as correct, after an intended change

The agent runs its model on fixed images after each start and every hour ([model] golden_every), and compares the boxes
with those recorded when the model was first used; these are made on the CPU, even if a GPU runs the model.
"""


def add_arguments(commands: Any) -> None:
    """Declare `golden` among the commands of `vedette model`."""
    from agent.cli.local import add_state_arguments

    parser = commands.add_parser(
        "golden",
        help="check that the running model still gives the results of its first use",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_state_arguments(parser)
    parser.add_argument("--accept", action="store_true", help="accept the present results as correct")


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
        "agrees": "the model gives the same results as when it was first used",
        "differs": "THE MODEL GIVES OTHER RESULTS than when it was first used",
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
