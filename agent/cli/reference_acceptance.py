"""`vedette reference accept`, `undo` and `history`: accept what was seen as normal, and list who changed what."""

from __future__ import annotations

import argparse


def add_arguments(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the three actions."""
    accept = actions.add_parser(
        "accept",
        help="accept everything seen since a time as normal, and keep the rest of the reference",
    )
    accept.add_argument("--camera", default="", help="the camera (optional if there is only one)")
    accept.add_argument(
        "--since", default="", metavar="TIME",
        help="09:14, 2026-01-31T18:00Z or 3h (ago); default: when the drift alarm began",
    )  # fmt: skip
    accept.add_argument("--why", default="", help="the reason, shown to others")
    undo = actions.add_parser("undo", help="withdraw the last acceptance")
    undo.add_argument("--camera", required=True, help="which camera")
    undo.add_argument("--why", default="", help="the reason, shown to others")
    history = actions.add_parser("history", help="list who changed the reference in force, and when")
    history.add_argument("--camera", required=True, help="which camera")
    history.add_argument("--json", action="store_true", help="as JSON")


def accept(args: argparse.Namespace) -> int:
    """Have the running agent take in what was seen."""
    from agent.alerts.words import stamp
    from agent.app.control_socket import call
    from agent.cli.local import state_directory
    from agent.core import user
    from agent.core.counts import count

    words = {"camera": args.camera, "since": args.since, "why": args.why}
    given = {name: value for name, value in words.items() if value} | {"who": user.name()}
    reply = call(state_directory(args), "reference_accept", given)
    camera, windows = reply["camera"], count(reply["windows"], "window")
    print(
        f"camera {camera}: {windows} from {stamp(reply['since'])} to {stamp(reply['until'])} are accepted as normal"
    )
    print(f"and what follows, up to a day; `vedette reference undo --camera {camera}` withdraws it")
    return 0


def undo(args: argparse.Namespace) -> int:
    """Go back to the reference without it."""
    return put_in_force(args, "reference_undo", {"camera": args.camera, "why": args.why})


def history(args: argparse.Namespace) -> int:
    """Print the changes."""
    import json

    from agent.alerts.words import stamp
    from agent.cli.local import ask

    changes = ask(args, "reference_history", {"camera": args.camera})["changes"]
    if args.json:
        print(json.dumps(changes, indent=2))
        return 0
    for each in changes:
        why = f" ({each['why']})" if each["why"] else ""
        print(f"{stamp(each['at'])}  {each['what']} by {each['who']}{why}: reference {each['reference']}")
    if not changes:
        print("nobody changed it")
    return 0


def put_in_force(args: argparse.Namespace, command: str, words: dict[str, str]) -> int:
    """Carry out a command that changes which reference is in force, and print which is."""
    from agent.cli.local import ask
    from agent.core import user

    reply = ask(args, command, words | {"who": user.name()})
    print(f"camera {reply['camera']}: reference {reply['id']} is in force")
    return 0
