"""`vedette support`: writes one ZIP file for remote support: versions, config, status, journal; no secrets."""

from __future__ import annotations

import argparse
import io
import zipfile
from datetime import datetime, timezone
from pathlib import Path

from agent.cli.local import add_state_arguments

_FIRST_OF_ZIP = (1980, 1, 1, 0, 0, 0)
"""The format knows no earlier time, and a box without a battery may hold that it is 1970."""
_EPILOG = """\
The file holds versions, the config with secrets masked, the agent's status, alerts, history and drift, the names and
sizes of its files, its unit and the last lines of its journal. It holds no images and no passwords, but it does hold
names of devices, cameras and hosts. Look at it before you send it: it is plain text.

Run the command as root so that it can read the journal. If a part is missing, the file says why.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    add_state_arguments(parser)
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="the ZIP file to write (default vedette-support-TIME.zip)"
    )
    parser.add_argument("--unit", default="vedette", help="the systemd unit (default vedette)")
    parser.add_argument("--force", action="store_true", help="replace FILE, whatever it is")


def run(args: argparse.Namespace) -> int:
    """Gather, write, and print what is in it."""
    from agent.app.support import gather
    from agent.cli.local import config_file, state_directory
    from agent.cli.output import refuse_taken, write_output
    from agent.core import clock
    from agent.core.terminal import console

    now = datetime.fromtimestamp(clock.wall(), timezone.utc)
    out = args.out or Path(f"vedette-support-{now:%Y%m%dT%H%M%SZ}.zip")
    refuse_taken(out, begins=b"PK", force=args.force)
    with console(stderr=True).status("gathering"):
        texts = gather(config_file(args), state_directory(args), unit=args.unit)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            entry = zipfile.ZipInfo(f"{out.stem}/{name}", max(now.timetuple()[:6], _FIRST_OF_ZIP))
            entry.external_attr = 0o600 << 16
            archive.writestr(entry, text, zipfile.ZIP_DEFLATED)
    write_output(out, packed.getvalue(), begins=b"PK", force=args.force)
    print(f"{out}: look at it before you send it")
    for name, text in texts.items():
        missing = text.startswith("cannot be had: ")
        print(f"  {name:14}{text.strip()[:150] if missing else f'{len(text.splitlines())} lines'}")
    return 0
