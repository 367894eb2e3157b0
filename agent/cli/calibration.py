"""`vedette model prepare --int8`: its arguments, the frames it is calibrated on, what it prints of the outcome."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.local import SYSTEM_CONFIG

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from agent.config.schema import CameraSettings
    from agent.modeltools.prepare import Int8Wish


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of INT8."""
    parser.add_argument(
        "--int8",
        action="store_true",
        help="make an INT8 model for a CPU, calibrated and checked on frames of the camera",
    )
    parser.add_argument(
        "--frames",
        metavar="VIDEO|DIR|CAMERA",
        help="frames that calibrate --int8: a video, a folder of images, an address such as "
        "rtsp://HOST/PATH, or the name of a camera in the config",
    )
    parser.add_argument(
        "--least-f1",
        type=float,
        default=0.97,
        metavar="F1",
        help="least F1 of INT8 against fp32 on frames that did not calibrate it (default %(default)s)",
    )
    parser.add_argument(
        "--config", metavar="FILE", help=f"where the camera of --frames is named (default {SYSTEM_CONFIG})"
    )


def wish(args: argparse.Namespace) -> Int8Wish | None:
    """What the arguments ask for; None without --int8. Raises ModelError, ConfigError."""
    from agent.core.errors import ModelError
    from agent.core.masking import mask
    from agent.core.terminal import bar
    from agent.modeltools.prepare import Int8Wish

    if not args.int8:
        if args.frames:
            raise ModelError("--frames calibrates --int8: give --int8 too")
        return None
    if not args.frames:
        raise ModelError(
            "--int8 is calibrated on frames of the camera: give a video, folder or camera with --frames"
        )
    if args.half or args.device == "gpu":
        raise ModelError("--int8 is for a CPU: omit --half and --for gpu")
    if not 0 < args.least_f1 <= 1:
        raise ModelError(f"--least-f1 {args.least_f1:g}: expected a number above 0, at most 1")
    camera = _camera(args)
    return Int8Wish(
        frames=lambda size: _frames(camera, size),
        source=mask(args.frames),
        least_f1=args.least_f1,
        progress=bar,
    )


def summary(int8: Mapping[str, Any]) -> str:
    """What was reached, in a few lines."""
    pays = "" if int8["speed_ratio"] > 1 else ": INT8 is not faster here, use the fp32 model"
    return (
        f"INT8: F1 {int8['f1']:.3f} by fp32 over {int8['boxes']} boxes on {int8['checked']} frames not calibrated on "
        f"(at least {int8['least_f1']:g} asked for), calibrated on {int8['calibrated']}\n"
        f"{int8['convolutions']} convolutions in INT8, weights of {int8['weight_bits']} bits; in float beside the "
        f"decoding: {int8['in_float']}\n"
        f"agrees on: {int8['engines']} ([model] provider)\n"
        f"{int8['speed_ratio']:.2f} times as fast as fp32 on this CPU{pays}"
    )


def _camera(args: argparse.Namespace) -> CameraSettings:
    """The camera that --frames names, or one made of the video, folder or address that it is."""
    from agent.app.kinds import KINDS
    from agent.cli.sources import camera_of
    from agent.config.load import load

    file = args.config or (str(SYSTEM_CONFIG) if SYSTEM_CONFIG.exists() else None)
    if file and "/" not in args.frames and not Path(args.frames).exists():
        for camera in load(file, KINDS).cameras:
            if camera.name == args.frames:
                return camera
    args.fast, args.loop = True, False
    return camera_of(args.frames, args, 0)


def _frames(settings: CameraSettings, size: tuple[int, int]) -> Sequence[NDArray[np.uint8]]:
    from agent.cameras import CAMERAS
    from agent.core.terminal import bar
    from agent.modeltools.frames import sample_frames
    from agent.modeltools.int8 import MOST_FRAMES

    camera = CAMERAS.load(settings.kind)(settings.name, settings.options)
    return sample_frames(camera, MOST_FRAMES, size, bar)
