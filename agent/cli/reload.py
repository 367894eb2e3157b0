"""`vedette reload`: have the running agent read its config again; a bad file changes nothing."""

from __future__ import annotations

import argparse

from agent.cli.local import add_state_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_state_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Request a reload, and print what changed."""
    from agent.app.control_socket import call
    from agent.cli.local import state_directory
    from agent.core.user import name as user_name

    reply = call(state_directory(args), "reload", {"who": user_name()})
    print(reply.get("text", "reloaded"))
    return 0
