"""`vedette advise`: what to do about the drift of each camera of this box, with what speaks for it and against."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.local import add_state_arguments

if TYPE_CHECKING:
    from agent.drift.advice import Advice, Situation

_EPILOG = """\
examples:
  vedette advise                    each camera: what to do, why, and the command
  vedette advise --camera front --json

It rests on the cause of the drift (docs/diagnosis.md), on how long it has lasted, on creep, on the golden check,
and on the samples labelled since then where there are twenty and more.
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
    import dataclasses

    from agent.app.control_socket import call
    from agent.cli.local import state_directory
    from agent.core import clock
    from agent.drift.advice import advise

    state = state_directory(args)
    cameras = call(state, "drift_explain", {"camera": args.camera, "count": 1})["cameras"]
    golden = str(call(state, "status")["info"].get("model_golden", ""))
    now = clock.unix_now()
    found = [(camera["camera"], advise(_situation(state, camera, golden, now))) for camera in cameras]
    if args.json:
        print(json.dumps([{"camera": name, **dataclasses.asdict(one)} for name, one in found], indent=2))
        return 0
    for name, one in found:
        _print(name, one)
    if not found:
        print("no camera is watched")
    return 0


def _print(camera: str, one: Advice) -> None:
    print(f"camera {camera}: {one.words}")
    print(f"  {one.command}")
    for title, reasons in (("for it", one.for_it), ("against", one.against)):
        if reasons:
            print(f"  {title}: {'; '.join(reasons)}")


def _situation(state: Path, camera: Mapping[str, Any], golden: str, now: float) -> Situation:
    from agent.drift.advice import Situation

    since, cause = camera.get("drift_since"), camera["cause"] or {}
    return Situation(
        camera=camera["camera"],
        cause=cause.get("name", ""),
        confidence=cause.get("confidence", 0.0),
        lasts=None if since is None else max(0.0, now - since),
        gradual=_crept(camera["reference"]),
        found_ratio=cause.get("found_ratio"),
        right_ratio=None if since is None else _right_ratio(state, camera["camera"], since),
        model_changed=golden == "differs",
    )


def _crept(reference: Mapping[str, Any] | None) -> bool:
    """Whether a feature of the reference moved by a sigma and more, too slowly for an alarm."""
    creep = ((reference or {}).get("lived") or {}).get("creep") or []
    return any(abs(each["sigmas"]) >= 1.0 for each in creep)


def _right_ratio(state: Path, camera: str, since: float) -> float | None:
    """The lower end of F1's interval, by samples that were drawn at random since then and labelled; None: too few."""
    from agent.maintenance.samples.accuracy import accuracy, counts_of
    from agent.maintenance.samples.sample import AUDIT
    from agent.maintenance.samples.store import SampleStore

    samples = [one.sample for one in SampleStore(state).samples(camera)]
    drawn = [
        one for one in samples if one.reason == AUDIT and one.labels is not None and one.captured_at >= since
    ]
    interval = accuracy(counts_of(drawn)).f1_interval if drawn else None
    return interval.low if interval is not None else None
