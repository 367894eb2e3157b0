"""`vedette demo`: the real agent on drawn cameras, with a broker and an incident; nothing to set up."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = (
        "Runs the real agent on four drawn cameras with the small model that ships, against a broker of its own "
        "(mosquitto where it is installed), and shows what the broker receives. For a minute it learns what is normal; "
        "then fog rolls over one camera, the next gets noisy, the light of the third turns red: watch drift being "
        "judged against that minute and named. The fourth freezes. Alerts fire and resolve; nothing is left behind."
    )
    parser.add_argument(
        "--seconds", type=float, metavar="N", help="end by itself after N seconds, with a summary"
    )
    parser.add_argument("--picture", metavar="SVG", help="save the last screen as an SVG file")


def run(args: argparse.Namespace) -> int:
    """Run the demo."""
    from agent.demo.show import main

    return main(args.seconds, args.picture)
