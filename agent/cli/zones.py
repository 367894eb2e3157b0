"""`vedette zones`: draws the masks and zones of a camera over one of its frames."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli.local import accept_after_action, add_state_arguments
from agent.core.errors import VedetteError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from agent.config.schema import CameraSettings
    from agent.core.polygon import Polygon
    from agent.core.types import Image

_PNG = b"\x89PNG"
COLOURS = {
    "privacy_masks": (60, 60, 230),
    "ignore_masks": (0, 165, 255),
    "include_zones": (80, 200, 60),
    "exclude_zones": (200, 60, 160),
}
"""The keys of masks and zones, and in which colour (BGR) they are drawn."""

PROPOSED = (0, 230, 255)

TINT = 0.3
NARROWEST = 640
"""Pixels: a smaller frame is enlarged, so that what is written on it can be read."""

_EPILOG = """\
examples:
  vedette zones show --camera front --out zones.png
  vedette zones show --camera front --out zones.png --config new.toml     before a reload

The frame is the running agent's last one, with its boxes; without a running agent the camera is opened. The masks and
zones are those of the config file, and the ignore mask that the agent proposes. How to write them: docs/cameras.md.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    add_state_arguments(parser)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = actions.add_parser("show", help="draw the masks and zones of a camera over one of its frames")
    show.add_argument("--camera", default="", help="the camera (optional if there is only one)")
    show.add_argument("--out", required=True, type=Path, metavar="FILE", help="the PNG to write")
    show.add_argument("--force", action="store_true", help="replace a file at --out even if it is not a PNG")
    show.add_argument("--open", action="store_true", help="open the camera, even if an agent runs")
    accept_after_action(actions)


def run(args: argparse.Namespace) -> int:
    """Draw, and print what each colour stands for."""
    import cv2

    from agent.cli.output import refuse_taken, write_output

    camera = _camera(args)
    refuse_taken(args.out, begins=_PNG, force=args.force)
    frame, of = _frame(args, camera)
    there = [*areas(camera), *proposed(args, camera)]
    data = cv2.imencode(".png", drawn(frame, there))[1].tobytes()
    write_output(args.out, data, begins=_PNG, force=args.force)
    print(f"{args.out}: {of}")
    for one in there:
        print(f"  {one.name}  {_share(one.polygon)} of the frame, {len(one.polygon)} corners")
    if not there:
        print(f"  no masks or zones; set {', '.join(COLOURS)} of the camera")
    return 0


@dataclass(frozen=True, slots=True)
class Area:
    """A polygon with its name and its colour (BGR)."""

    name: str
    colour: tuple[int, int, int]
    polygon: Polygon


def areas(camera: CameraSettings) -> list[Area]:
    """Each mask and zone, named by its key and its place there."""
    return [
        Area(f"{key}[{number}]", colour, polygon)
        for key, colour in COLOURS.items()
        for number, polygon in enumerate(getattr(camera, key))
    ]


def proposed(args: argparse.Namespace, camera: CameraSettings) -> list[Area]:
    """The areas that the running agent proposes to ignore, if one runs."""
    from agent.cli.local import agent_status, state_directory
    from agent.core.polygon import parse_polygon
    from agent.core.untrusted import parse_toml

    line = ((agent_status(state_directory(args)) or {}).get("proposals") or {}).get(camera.name, "")
    polygons = [parse_polygon(one) for one in parse_toml(line).get("ignore_masks", ())]
    new = [one for one in polygons if one not in camera.ignore_masks]
    return [Area(f"proposed[{number}]", PROPOSED, polygon) for number, polygon in enumerate(new)]


def _share(polygon: Polygon) -> str:
    from agent.core.polygon import area

    return f"{100 * area(polygon):.3g} %"


def _camera(args: argparse.Namespace) -> CameraSettings:
    """The settings of the camera that is meant; raises VedetteError."""
    from agent.cli.local import SYSTEM_CONFIG, settings_of
    from agent.core.nearest import unknown

    settings = settings_of(args)
    if settings is None:
        raise VedetteError(f"there is no {SYSTEM_CONFIG}; name the config file with --config")
    cameras = {camera.name: camera for camera in settings.cameras}
    if not args.camera and len(cameras) == 1:
        return next(iter(cameras.values()))
    if args.camera not in cameras:
        raise VedetteError(f"{unknown('camera', args.camera, list(cameras))}; choose one with --camera")
    return cameras[args.camera]


def _frame(args: argparse.Namespace, camera: CameraSettings) -> tuple[Image, str]:
    """A frame of the camera, and where it is from."""
    from agent.cli.local import agent_runs

    if not args.open and agent_runs(args):
        return _of_agent(args, camera), f"over the last frame of camera {camera.name} of the running agent"
    return _of_camera(camera), f"over a frame of camera {camera.name}, opened for this"


def _of_agent(args: argparse.Namespace, camera: CameraSettings) -> Image:
    import cv2
    import numpy as np

    from agent.app.control_socket import call
    from agent.cli.local import state_directory
    from agent.pipeline.snapshots import read_answer

    try:
        snapshot = read_answer(call(state_directory(args), "snapshot", {"camera": camera.name}))
    except VedetteError as error:
        raise VedetteError(f"{error}; with --open the camera is opened") from None
    image = cv2.imdecode(np.frombuffer(snapshot.jpeg, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise VedetteError("the agent's snapshot is damaged; with --open the camera is opened")
    return np.asarray(image, dtype=np.uint8)


def _of_camera(camera: CameraSettings) -> Image:
    from agent.cameras import CAMERAS
    from agent.cameras.privacy import PrivacyMasks
    from agent.cli.snapshot import settled_frame
    from agent.logging import setup as log

    log.set_up("error")
    frame = settled_frame(CAMERAS.load(camera.kind)(camera.name, camera.options))
    return PrivacyMasks(camera.privacy_masks).apply(frame).image


def drawn(frame: Image, there: Sequence[Area]) -> Image:
    """A copy of the frame with these areas, each with its name."""
    import cv2
    import numpy as np

    scale = max(1.0, NARROWEST / frame.shape[1])
    image = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    size = (image.shape[1], image.shape[0])
    tinted = image.copy()
    outlines = [np.round(np.array(one.polygon) * size).astype(np.int32) for one in there]
    for one, outline in zip(there, outlines, strict=True):
        cv2.fillPoly(tinted, [outline], one.colour)
    image = cv2.addWeighted(tinted, TINT, image, 1 - TINT, 0)
    for one, outline in zip(there, outlines, strict=True):
        cv2.polylines(image, [outline], True, one.colour, 2, cv2.LINE_AA)
    for one, outline in zip(there, outlines, strict=True):
        _name(image, one.name, outline)
    return np.asarray(image, dtype=np.uint8)


def _name(image: NDArray[np.uint8], text: str, outline: NDArray[np.int32]) -> None:
    """Write `text` at the upper left of what `outline` encloses, within the image."""
    import cv2

    from agent.pipeline.snapshots import FONT, FONT_SIZE, write_outlined

    (width, height), _ = cv2.getTextSize(text, FONT, FONT_SIZE, 1)
    left, top = (int(side) for side in outline.min(axis=0))
    at = (
        max(2, min(left + 4, image.shape[1] - width - 2)),
        min(max(top, 0) + height + 4, image.shape[0] - 3),
    )
    write_outlined(image, text, at)
