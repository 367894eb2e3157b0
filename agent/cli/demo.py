"""`vedette demo`: the real agent on drawn cameras, with a broker and an incident; nothing to set up."""

from __future__ import annotations

import argparse

from agent.cli.times import seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = (
        "Runs the real agent on four drawn cameras with the small demo model and its own broker (mosquitto if it is "
        "installed), and shows what the broker receives. The agent learns for a minute what is normal. Then fog covers "
        "the first camera, the second gets noisy, the light of the third turns red, and the fourth freezes: watch it "
        "detect each fault, name its cause and resolve the alerts. No files are left behind."
    )
    parser.add_argument("--seconds", type=seconds, metavar="N", help="end after N seconds, with a summary")
    parser.add_argument("--picture", metavar="SVG", help="save the last screen as an SVG file")


def run(args: argparse.Namespace) -> int:
    """Run the demo."""
    from agent.demo.show import main

    return main(args.seconds, args.picture)
