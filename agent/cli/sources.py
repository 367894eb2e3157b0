"""Builds the settings of `vedette run` from the config file and the command line."""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent.app.kinds import KINDS
from agent.app.validate import validate
from agent.cameras import CAMERAS
from agent.cli.broker_options import with_login, with_url
from agent.config.load import load, placed
from agent.config.schema import CameraSettings, Settings
from agent.core.errors import CameraError, ConfigError
from agent.core.file_url import local_path
from agent.core.masking import MASK, mask
from agent.core.nearest import nearest
from agent.core.printable import printable
from agent.core.secret import Masked
from agent.core.units import parse_duration

DRAWN_ONLY = "the small demo model knows only drawn scenes; use a real one: --model ONNX"


def knows_only_drawn(model: str | None, kinds: Iterable[str]) -> bool:
    """Whether the small model that ships is used on real frames, for which it was not trained."""
    return not model and any(kind != "synthetic" for kind in kinds)


def settings_from(args: argparse.Namespace) -> Settings:
    """The settings that the arguments ask for; raises ConfigError."""
    settings = load(args.config, KINDS) if args.config else Settings()
    if args.state:
        settings = dataclasses.replace(settings, state_directory=args.state)
    if args.broker:
        broker = with_url(settings.broker, args.broker)
        settings = dataclasses.replace(settings, broker=broker)
    settings = dataclasses.replace(settings, broker=with_login(settings.broker, args))
    if args.model:
        settings = dataclasses.replace(settings, model=dataclasses.replace(settings.model, path=args.model))
    if args.window:
        settings = dataclasses.replace(
            settings, windows=dataclasses.replace(settings.windows, length=_length(args))
        )
    if args.source:
        cameras = [camera_of(source, args, index) for index, source in enumerate(args.source)]
        settings = dataclasses.replace(settings, cameras=(*settings.cameras, *_distinct(cameras)))
    if args.config:
        require_camera(settings, args.config)
    with placed(args.config):
        validate(settings)
    return settings


@contextmanager
def _named(option: str) -> Iterator[None]:
    """Name `option` in the ConfigErrors about settings made from it."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(
            error.message, file="command line", key=option, expected=error.expected, nearest=error.nearest
        ) from None


def require_camera(settings: Settings, file: str) -> None:
    """Raise ConfigError where the config in `file` has no camera."""
    if not settings.cameras:
        raise ConfigError("there is no camera", file=file, expected="at least one [[cameras]] table")


def _length(args: argparse.Namespace) -> float:
    try:
        length = parse_duration(float(args.window) if args.window.isdigit() else args.window)
    except ValueError:
        length = 0.0
    if not 1 <= length <= 3600:
        raise ConfigError(
            f"--window {args.window}", file="command line", expected="1s to 1h, such as 5s or 1m"
        )
    return length


def camera_of(source: str, args: argparse.Namespace, index: int) -> CameraSettings:
    """A camera for `source`, its kind and name derived from the text."""
    with _named("--source"):
        kind, options = _kind(source, args)
        made = CAMERAS.load(kind).Options(**options)
    return CameraSettings(name=_name(source) or f"camera{index + 1}", kind=kind, options=made)


def _name(source: str) -> str:
    """A name made of the last piece of `source` that holds no secret: it goes into topics and payloads."""
    shown = re.split(r"[?#]", str(Masked(source)).rpartition("://")[2])[0]
    pieces = [piece for piece in shown.rpartition("@")[2].split("/") if piece and MASK not in piece]
    stem = Path(pieces[-1]).stem if pieces else ""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-")[:40]


def _kind(source: str, args: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    pace = {"pace": "fast"} if args.fast else {}
    if source == "synthetic":
        return "synthetic", pace
    if source.startswith("/dev/"):
        return "v4l2", {"device": source}
    source = local_path(source)
    if "://" in source:
        return "stream", {"url": source}
    path = Path(os.path.expanduser(source))  # noqa: PTH111  (Path.expanduser raises for a user that is not there)
    if not path.exists():
        raise ConfigError(
            f"{printable(mask(source))}: there is no such file or folder",
            expected="a video, a folder of images, an address such as rtsp://HOST/PATH, /dev/video0 or synthetic",
            nearest=nearest(source, ("synthetic",)),
        )
    if path.is_dir():
        _require_image(path)
        return "images", {"path": str(path), "loop": args.loop, **pace}
    return "stream", {"url": str(path), "loop": args.loop, **pace}


def _require_image(folder: Path) -> None:
    from agent.cameras.kinds.images import list_images

    try:
        list_images(folder, "*")
    except CameraError as error:
        raise ConfigError(str(error)) from None


def _distinct(cameras: list[CameraSettings]) -> list[CameraSettings]:
    used: dict[str, int] = {}
    distinct = []
    for camera in cameras:
        used[camera.name] = used.get(camera.name, 0) + 1
        count = used[camera.name]
        distinct.append(camera if count == 1 else dataclasses.replace(camera, name=f"{camera.name}-{count}"))
    return distinct
