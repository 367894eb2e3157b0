"""`vedette sketch`: merges the sketches of many devices into one distribution per feature."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from agent.cli.broker_options import LOGIN_EPILOG, add_broker_arguments, broker_settings

if TYPE_CHECKING:
    from agent.drift.reference import Reference
    from agent.references.offline.fleet_merge import FleetRow, Group, Merger

LONGEST_LINE = 2 * 1024 * 1024
_EPILOG = (
    """\
examples:
  vedette sketch merge --broker mqtt://broker --for 2h
  mosquitto_sub -h broker -t 'vedette/+/+/sketch/#' -W 600 > sketches.jsonl
  vedette sketch merge sketches.jsonl --reference front.json     (from `vedette reference export`)

Messages of other models or feature versions are merged separately, because their numbers are not comparable.

"""
    + LOGIN_EPILOG
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    merge = actions.add_parser(
        "merge", help="merge sketch messages; print quantiles, and KS and PSI against a reference",
        formatter_class=argparse.RawDescriptionHelpFormatter, epilog=_EPILOG,
    )  # fmt: skip
    merge.add_argument(
        "files", nargs="*", type=Path, help="recorded payloads, one a line (- for standard input)"
    )
    add_broker_arguments(merge)
    merge.add_argument(
        "--for", dest="length", default="2m", metavar="TIME", help="how long (default %(default)s)"
    )
    merge.add_argument("--reference", type=Path, metavar="FILE", help="an exported reference to compare with")
    merge.add_argument("--json", action="store_true", help="as JSON, merged sketches included")


def run(args: argparse.Namespace) -> int:
    """Gather, merge, print; 1 where no sketch was found."""
    from agent.core.errors import ConfigError, ReferenceMismatch
    from agent.references.offline.fleet_merge import Merger
    from agent.references.store import parse_file, read_text

    if bool(args.files) == bool(args.broker or args.config):
        raise ConfigError("give FILES or --broker or --config", file="command line", expected="one of them")
    reference = parse_file(args.reference, read_text(args.reference)).reference if args.reference else None
    merger = Merger()
    if not args.files:
        _listen(args, merger)
    else:
        _read(args.files, merger)
    mismatches = [why for group in merger.groups.values() if (why := _compared(group, reference)[1])]
    if mismatches and len(mismatches) == len(merger.groups):
        raise ReferenceMismatch(mismatches[0])
    if args.json:
        print(json.dumps([_json(group, reference) for group in merger.groups.values()], indent=2))
    else:
        _print(merger, reference)
    return 0 if merger.groups else 1


def _read(files: list[Path], merger: Merger) -> None:
    import sys

    for file in files:
        if str(file) == "-":
            merger.hear_lines(_bounded(sys.stdin.buffer))
        else:
            merger.hear_lines(_lines(file))


def _bounded(stream: BinaryIO) -> Iterator[bytes]:
    """The lines of a stream; what is too long for a message comes in pieces, which are none."""
    return iter(lambda: stream.readline(LONGEST_LINE), b"")


def _lines(file: Path) -> Iterator[bytes]:
    from agent.core.errors import VedetteError

    try:
        with file.open("rb") as stream:
            yield from _bounded(stream)
    except OSError as error:
        raise VedetteError(f"{file}: {error.strerror}") from None


def _listen(args: argparse.Namespace, merger: Merger) -> None:
    from agent.cli.verify import seconds_of
    from agent.delivery.mqtt.listener import Listener

    listener = Listener(broker_settings(args))
    with contextlib.suppress(KeyboardInterrupt):
        for heard in listener.hear(seconds_of(args.length)):
            if heard is not None and "/sketch/" in heard[0].topic:
                merger.process(heard[0].payload)


def _compared(group: Group, reference: Reference | None) -> tuple[list[FleetRow], str]:
    """The rows of a group, against `reference` where it is one of that model; else why not."""
    from agent.core.errors import ReferenceMismatch
    from agent.references.offline.fleet_merge import rows

    try:
        return rows(group, reference), ""
    except ReferenceMismatch as error:  # one device with another model must not hide all the others
        return rows(group), str(error)


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _json(group: Group, reference: Reference | None) -> dict[str, Any]:
    from agent.references.offline.fleet_merge import RANKS

    assert group.window is not None  # groups are made of windows
    found, why = _compared(group, reference)
    return {
        "model_sha256": group.model_sha256,
        "sources": sorted(group.sources),
        "windows": group.windows,
        "features": [
            {
                "feature": row.feature,
                "count": row.count,
                **{
                    f"p{100 * rank:g}": _known(value)
                    for rank, value in zip(RANKS, row.quantiles.tolist(), strict=True)
                },
                **({"ks": _known(row.ks), "psi": _known(row.psi)} if row.normal is not None else {}),
            }
            for row in found
        ],
        **({"not_compared": why} if why else {}),
        "merged": group.window.to_body(200),
    }


def _print(merger: Merger, reference: Reference | None) -> None:
    from agent.core.counts import count

    for group in merger.groups.values():
        _print_group(group, reference)
    if not merger.groups:
        print("no sketch message was found")
    for number, one, several in (
        (merger.damaged, "could not be read", "could not be read"),
        (merger.others, "was of another family", "were of other families"),
        (merger.twice, "came twice and was counted once", "came twice and were counted once"),
        (merger.left_out, "was of one model too many", "were of further models and left out"),
    ):
        if number:
            print(f"{count(number, 'message')} {one if number == 1 else several}")


def _print_group(group: Group, reference: Reference | None) -> None:
    from rich.table import Table

    from agent.alerts.words import stamp
    from agent.core.counts import count, figures
    from agent.core.terminal import console
    from agent.references.offline.fleet_merge import RANKS

    window = group.window
    assert window is not None  # groups are made of windows
    more = ", ..." if len(group.sources) > 4 else ""
    print(
        f"model {group.model_sha256[:12]}, features {group.feature_version}: {count(group.windows, 'window')} of "
        f"{count(len(group.sources), 'camera')} ({', '.join(sorted(group.sources)[:4])}{more}), "
        f"{stamp(window.start)} to {stamp(window.end)}, {count(window.frames, 'frame')}"
    )
    found, why = _compared(group, reference)
    if why:
        print(f"not compared: {why}")
    compared = reference is not None and not why
    table = Table(box=None, pad_edge=False)
    table.add_column("feature")
    distances = ("KS", "PSI", "normal p50") if compared else ()
    for column in ("values", *(f"p{100 * rank:g}" for rank in RANKS), *distances):
        table.add_column(column, justify="right")
    for row in found:
        against = ["-", "-", "-"] if compared else []
        if row.normal is not None:
            against = [f"{row.ks:.2f}", f"{row.psi:.2f}", figures(row.normal[2])]
        table.add_row(row.feature, str(row.count), *map(figures, row.quantiles), *against)
    console().print(table)
