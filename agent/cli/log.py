"""`vedette log`: every change of model, config, reference, limits and controls, with who made it and when."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli.local import add_state_arguments
from agent.cli.times import length
from agent.core import clock
from agent.core.errors import VedetteError

if TYPE_CHECKING:
    from agent.core.logbook import Entry

_KINDS = ("agent", "model", "config", "reference", "limit", "mute", "snooze", "acknowledge", "undo")
_EPILOG = """\
examples:
  vedette log                                     all entries, oldest first
  vedette log --since 7d --kind model --kind config
  vedette log --json

The command reads the state directory, with or without a running agent. The agent keeps about 5,000 changes, and for
each camera's references the last 100 changes by people and the versions that still exist. A change of a password alone
is not recorded, because no secret is stored.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    add_state_arguments(parser)
    parser.add_argument(
        "--since", default="", metavar="AGE", help="how far back, such as 12h or 7d (default: all)"
    )
    parser.add_argument(
        "--kind", action="append", choices=_KINDS, help="only changes of this kind; may be repeated"
    )
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the changes."""
    from agent.cli.local import state_directory
    from agent.core.logbook import entry_json

    state = state_directory(args)
    since = clock.wall() - length(args.since, "--since") if args.since else 0.0
    found = [
        entry
        for entry in changes_of(state)
        if entry.at >= since and (not args.kind or entry.kind in args.kind)
    ]
    if args.json:
        print(json.dumps([entry_json(entry) for entry in found], indent=2, ensure_ascii=False))
    else:
        print("\n".join(map(line_of, found)) or "nothing was changed")
    return 0


def changes_of(state: Path) -> list[Entry]:
    """All changes that the state directory knows, oldest first."""
    from agent.core.logbook import entries
    from agent.core.state_dir import as_owner
    from agent.references.log_entries import reference_entries

    if not state.is_dir():
        raise VedetteError(f"{state}: there is no such state directory (--state or --config chooses it)")
    with as_owner(state):
        return sorted([*entries(state), *reference_entries(state)], key=lambda entry: entry.at)


def line_of(entry: Entry) -> str:
    """An entry as a line."""
    from agent.alerts.words import stamp

    why = f": {entry.why}" if entry.why else ""
    who = f", by {entry.who}" if entry.who else ""
    return f"{stamp(entry.at)}  {entry.kind:<11} {entry.what}{who}{why}"
