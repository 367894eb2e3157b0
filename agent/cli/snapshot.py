"""`vedette snapshot`: writes the last frame of a camera of the running agent, or one of a source, with its boxes."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli.local import add_state_arguments
from agent.cli.times import seconds
from agent.core import clock
from agent.core.errors import VedetteError
from agent.core.user import expanded

if TYPE_CHECKING:
    from rich.table import Table

    from agent.cameras import Camera
    from agent.core.types import Frame
    from agent.pipeline.snapshots import Snapshot

SUFFIXES = (".jpg", ".jpeg")
SETTLE_SECONDS = 1.0
"""A live camera is read this long before its frame is taken: the first ones are often dark."""

TEXT_LINES = 12  # of the terminal that an image leaves to the text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_state_arguments(parser)
    parser.add_argument(
        "camera", nargs="?", help="a camera of the running agent (default: all that have delivered a frame)"
    )
    parser.add_argument(
        "--source",
        metavar="SOURCE",
        help="without an agent: a video file, a folder of images, rtsp://..., http://..., /dev/video0 or `synthetic`",
    )
    parser.add_argument(
        "--model", metavar="ONNX", help="the model for --source (default: the small demo model)"
    )
    parser.add_argument(
        "--at", type=seconds, default=0.0, metavar="SECONDS", help="how far into the file of --source"
    )
    parser.add_argument(
        "--out", metavar="FILE", help="the .jpg to write, or a folder (default: CAMERA-TIME.jpg here)"
    )
    parser.add_argument(
        "--file-only", action="store_true", help="write the file; draw nothing in the terminal"
    )


def run(args: argparse.Namespace) -> int:
    """Write each snapshot, and print its file and its boxes; 1 where there is none."""
    from agent.core.terminal import console

    snapshots = [_of_source(args)] if args.source else _of_agent(args)
    for snapshot in snapshots:
        path = _target(args, snapshot, several=len(snapshots) > 1)
        try:
            path.write_bytes(snapshot.jpeg)
        except OSError as error:
            raise VedetteError(f"{path}: {error.strerror}; choose another with --out") from None
        if not args.file_only:
            _draw(snapshot)
        screen = console()
        screen.print(f"{path}: {_about(snapshot)}", soft_wrap=True)  # a path that is broken cannot be copied
        if snapshot.boxes:
            screen.print(_table(snapshot))
        elif args.source:
            _explain_none(args)
    return 0


def _explain_none(args: argparse.Namespace) -> None:
    from agent.cli.sources import DRAWN_ONLY, camera_of, knows_only_drawn

    kind = camera_of(args.source, argparse.Namespace(loop=False, fast=True), 0).kind
    if knows_only_drawn(args.model, [kind]):
        print(DRAWN_ONLY, file=sys.stderr)


def _target(args: argparse.Namespace, snapshot: Snapshot, *, several: bool) -> Path:
    from agent.cli.saving import file_name

    name = file_name(snapshot.camera, snapshot.captured_at)
    if not args.out:
        return Path(name)
    out = expanded(args.out)
    if out.is_dir() or several:
        out.mkdir(parents=True, exist_ok=True)
        return out / name
    if out.suffix.lower() not in SUFFIXES:
        raise VedetteError(f"--out {args.out}: a file that ends in .jpg, or a folder that is there")
    if args.source and out.exists() and Path(args.source).exists() and out.samefile(args.source):
        raise VedetteError(f"--out {args.out} is the source itself; choose another file")
    return out


def _about(snapshot: Snapshot) -> str:
    from datetime import datetime

    taken = datetime.fromtimestamp(snapshot.captured_at).astimezone()
    boxes = "1 box" if snapshot.detections == 1 else f"{snapshot.detections or 'no'} boxes"
    return f"{snapshot.camera}, {taken:%Y-%m-%d %H:%M:%S}, {snapshot.width}x{snapshot.height}, {boxes}"


def _table(snapshot: Snapshot) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("class")
    for column in ("score", "left", "top", "right", "bottom"):
        table.add_column(column, justify="right")
    for box in snapshot.boxes:
        corners = (box.left, box.top, box.right, box.bottom)
        table.add_row(box.name, f"{box.score:.2f}", *map(str, corners))
    return table


def _draw(snapshot: Snapshot) -> None:
    """Draw the snapshot where stdout is a terminal that knows colours."""
    if not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb" or "NO_COLOR" in os.environ:
        return
    import cv2
    import numpy as np

    from agent.cli.blocks import blocks
    from agent.core.terminal import raw_stream

    image = cv2.imdecode(np.frombuffer(snapshot.jpeg, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        return
    size = shutil.get_terminal_size()
    true_colour = os.environ.get("COLORTERM", "") in {"truecolor", "24bit"}
    text = blocks(
        image.astype(np.uint8), size.columns, max(4, size.lines - TEXT_LINES), true_colour=true_colour
    )
    print(text, file=raw_stream(sys.stdout))


# -- of the running agent -----------------------------------------------------------------------------------------


def _of_agent(args: argparse.Namespace) -> list[Snapshot]:
    from agent.app.control_socket import call
    from agent.cli.local import state_directory
    from agent.pipeline.snapshots import read_answer

    state = state_directory(args)
    names: Iterable[str] = [args.camera] if args.camera else call(state, "snapshot")["cameras"]
    if not names:
        raise VedetteError("no camera has delivered a frame yet; see `vedette status`")
    return [read_answer(call(state, "snapshot", {"camera": name})) for name in names]


# -- of a source --------------------------------------------------------------------------------------------------


def _of_source(args: argparse.Namespace) -> Snapshot:
    from agent.cameras import CAMERAS
    from agent.cli.sources import camera_of
    from agent.config.schema import ModelSettings
    from agent.core.types import FrameResult, StageSeconds
    from agent.detection.session import Detector
    from agent.logging import setup as log
    from agent.pipeline.snapshots import snapshot_of

    log.set_up("error")
    settings = camera_of(args.source, argparse.Namespace(loop=False, fast=True), 0)
    frame = settled_frame(CAMERAS.load(settings.kind)(settings.name, settings.options), args.at)
    detector = Detector(ModelSettings(path=args.model or ""))
    detector.open()
    try:
        found = detector.detect([frame]).detections[0]
        untimed = StageSeconds(
            decode=0.0, wait=0.0, preprocess=0.0, inference=0.0, postprocess=0.0, total=0.0
        )
        result = FrameResult(frame=frame, detections=found, stages=untimed, batch=1)
        return snapshot_of(result, detector.info.classes)
    finally:
        detector.close()


def settled_frame(camera: Camera, at: float = 0.0) -> Frame:
    """The frame at `at` seconds of a file; of a live camera one after it has settled. Raises CameraError."""
    finite = getattr(camera, "finite", False)
    camera.open()
    try:
        frame, until = camera.read(), clock.monotonic() + (0.0 if finite else SETTLE_SECONDS)
        while frame is not None and (_before(frame, at) if finite else clock.monotonic() < until):
            frame = camera.read()
    finally:
        camera.close()
    if frame is None:
        where = f" at {at:g} s" if at else ""
        raise VedetteError(f"the source ended before there was a frame{where}; try a smaller --at")
    return frame


def _before(frame: Frame, at: float) -> bool:
    return frame.media_seconds is not None and frame.media_seconds < at
