"""`vedette drift`: the drift of each camera of this box, and the last verdicts explained in text and charts."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.cli.local import accept_after_action, add_state_arguments

_EPILOG = """\
examples:
  vedette drift status                        each camera: state, ratio (1 is the limit), reference
  vedette drift explain                       the last verdict of each camera, in words
  vedette drift explain --camera front --last 10
  vedette drift explain --camera front --png charts/      the last windows against the reference, by feature;
                                              cause.png: reference, now, reference with the cause

How to read them: docs/drift.md.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    add_state_arguments(parser)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    status = actions.add_parser("status", help="show each camera: state, ratio, reference, recording")
    explain = actions.add_parser("explain", help="show the last verdicts as text, or as charts")
    for action in (status, explain):
        action.add_argument("--camera", default="", help="this camera alone")
        action.add_argument("--json", action="store_true", help="as JSON")
    explain.add_argument(
        "--last", type=int, default=1, metavar="N", help="number of verdicts (default %(default)s)"
    )
    explain.add_argument(
        "--png", type=Path, metavar="DIR", help="draw a chart of each feature, and the cause"
    )
    accept_after_action(actions)


def run(args: argparse.Namespace) -> int:
    """Ask the running agent and print."""
    import json

    from agent.app.control_socket import call
    from agent.cli.local import state_directory

    state = state_directory(args)
    words: dict[str, Any] = {"camera": args.camera}
    if args.action == "status":
        cameras = call(state, "drift", words)["cameras"]
    else:
        words |= {"count": args.last, "recent": args.png is not None}
        cameras = call(state, "drift_explain", words)["cameras"]
    if args.json:
        print(json.dumps(cameras, indent=2))
    elif args.action == "status":
        _status(cameras)
    else:
        _explain(cameras)
    for camera in cameras if args.action == "explain" and args.png else []:
        _draw(state, camera, args.png if len(cameras) == 1 else args.png / camera["camera"])
    return 0


def _status(cameras: list[Mapping[str, Any]]) -> None:
    from rich.table import Table

    from agent.alerts.words import duration, stamp
    from agent.core.terminal import console

    table = Table(box=None, pad_edge=False)
    for column in ("camera", "state", "ratio", "most", "outliers", "reference", "recording"):
        table.add_column(column)
    for camera in cameras:
        reference, recording = camera["reference"], camera["recording"]
        table.add_row(
            camera["camera"],
            camera["drift_state"],
            f"{camera['drift_ratio']:.2f}" if "drift_ratio" in camera else "-",
            camera.get("drift_feature", "-"),
            f"{100 * camera['drift_outlier_ratio']:.1f} %" if "drift_outlier_ratio" in camera else "-",
            f"{reference['id']} of {stamp(reference['made_at'])}"
            + (" (provisional)" if reference["provisional"] else "")
            if reference
            else "-",
            f"{duration(recording['covered'])} of {duration(recording['length'])}" if recording else "-",
        )
    console().print(table if cameras else "no camera is watched")
    for camera in cameras:
        if camera["problem"] or camera.get("drift_reason"):
            print(f"camera {camera['camera']}: {camera['problem'] or camera['drift_reason']}")


def _explain(cameras: list[Mapping[str, Any]]) -> None:
    from agent.alerts.words import stamp

    for camera in cameras:
        print(f"camera {camera['camera']}")
        for verdict in camera["history"]:
            print(f"  {stamp(verdict['end'])}  " + verdict["words"].replace("\n", "\n    "))
        if not camera["history"]:
            print(f"  no window was judged yet: {camera['problem'] or camera['drift_state']}")


def _draw(state: Path, camera: Mapping[str, Any], folder: Path) -> None:
    from agent.app.control_socket import call
    from agent.drift.sketch import WindowSketch
    from agent.references.charts import draw_explained
    from agent.references.stored import StoredReference

    if camera["recent"] is None or camera["reference"] is None:
        print(f"camera {camera['camera']}: nothing to draw, no window was judged yet")
        return
    text = call(state, "reference_export", {"camera": camera["camera"], "id": camera["reference"]["id"]})[
        "text"
    ]
    reference = StoredReference.from_text(text).reference
    for path in draw_explained(reference, WindowSketch.from_body(camera["recent"]), folder):
        print(path)
    _draw_cause(state, camera, folder)


def _draw_cause(state: Path, camera: Mapping[str, Any], folder: Path) -> None:
    """The picture of the supposed cause, where there is one and frames of the reference are kept."""
    import cv2
    import numpy as np

    from agent.app.control_socket import call
    from agent.core.state_dir import write_atomic
    from agent.pipeline.snapshots import read_answer
    from agent.references.cause_picture import cause_picture
    from agent.references.frame_store import ALWAYS, FrameStore
    from agent.references.store import ReferenceStore

    name, cause = camera["camera"], camera["cause"]
    frames = FrameStore(ReferenceStore(state))
    kept = frames.read(name, frames.names(name, ALWAYS, 1))
    if cause is None or not kept:
        return
    jpeg = np.frombuffer(read_answer(call(state, "snapshot", {"camera": name})).jpeg, dtype=np.uint8)
    now = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), dtype=np.uint8)
    drawn = cause_picture(kept[0], now, cause["name"], cause.get("severity", 1.0), cause.get("variant", 0))
    write_atomic(folder / "cause.png", cv2.imencode(".png", drawn)[1].tobytes())
    print(folder / "cause.png")
