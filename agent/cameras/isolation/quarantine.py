"""Cameras that are read in a process of their own, because their decoder crashed the agent.

A crash inside a decoder (a segmentation fault in a library) ends the whole process, and no `except` sees it.
While the agent runs, Python's fault handler stands ready to write, as its last act, where each thread was;
that costs nothing until then. The next start reads it.

Laws
----
1. A camera in whose thread the agent crashed is read apart from then on: the next crash ends its own process
   only, and is a failure of that camera like any other.
2. Three crashes within ten minutes, wherever: every camera is read apart, before systemd gives the agent up. An end
   that was asked for (SIGABRT, as the watchdog sends it) is none.
3. It ends when the camera's settings change, or the decoding library's version does.
4. `isolate = "never"` and `"always"` go before all that.
"""

from __future__ import annotations

import faulthandler
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import structlog

from agent.cameras import CAMERAS, Camera
from agent.cameras.isolation.crash import from_outside, place, suspects
from agent.cameras.isolation.isolated import IsolatedCamera
from agent.config.schema import CameraSettings
from agent.core import clock
from agent.core.state_dir import private, refuse_link, write_atomic
from agent.core.untrusted import parse_object

CRASH_FILE, LAST_CRASH_FILE, QUARANTINE_FILE = "crash.txt", "crash-last.txt", "quarantine.json"
MANY, MANY_SECONDS = 3, 600.0
EVERY = "*"

log = structlog.get_logger("vedette.cameras")


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Crashes lately (Unix time), and the cameras read apart (or EVERY), each with the mark it had then."""

    crashes: tuple[float, ...] = ()
    cameras: Mapping[str, str] = field(default_factory=dict)

    def after_crash(self, names: Iterable[str], marks: Mapping[str, str], now: float) -> Quarantine:
        """What holds after a crash at `now` of which `names` are suspected."""
        crashes = (*(at for at in self.crashes if 0 <= now - at < MANY_SECONDS), now)
        held = [*names, *([EVERY] if len(crashes) >= MANY else [])]
        return Quarantine(crashes, {**self.cameras, **{name: marks[name] for name in held if name in marks}})

    def holds(self, name: str, marks: Mapping[str, str]) -> bool:
        """Whether camera `name` is to be read apart."""
        return any(key in self.cameras and self.cameras[key] == marks[key] for key in (name, EVERY))


def watch(directory: Path, cameras: Iterable[CameraSettings]) -> None:
    """Record a crash of the last run, and install the fault handler for this one."""
    file = directory / CRASH_FILE
    try:
        directory.mkdir(parents=True, exist_ok=True)
        refuse_link(file)
        words = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
        if words.strip():
            _record_crash(directory, words, marks(cameras), file.stat().st_mtime)
            file.replace(directory / LAST_CRASH_FILE)
        # Left open on purpose: the handler keeps the descriptor.
        faulthandler.enable(open(file, "w", encoding="utf-8", opener=private))  # noqa: SIM115  (see above)
    except OSError as error:
        log.warning("a crash of a decoder could not be recorded for the next start", reason=str(error))


def camera_for(settings: CameraSettings, directory: Path) -> Camera:
    """The camera of `settings`, read apart where its settings or the quarantine ask for it.

    Raises ConfigError, MissingExtra.
    """
    kind = CAMERAS.load(settings.kind)
    apart = settings.isolate == "always" or (
        settings.isolate == "auto" and load(directory).holds(settings.name, marks([settings]))
    )
    if not apart or getattr(kind, "apart", False):
        camera: Camera = kind(settings.name, settings.options)
        return camera
    if settings.isolate == "auto":
        log.warning(
            "camera is now read in a separate process, because its decoder crashed the agent",
            camera=settings.name,
        )
    return IsolatedCamera(settings.kind, settings.name, settings.options)


def load(directory: Path) -> Quarantine:
    """The quarantine kept in `directory`; an unreadable file is an empty one."""
    try:
        data = parse_object((directory / QUARANTINE_FILE).read_bytes())
        return Quarantine(
            tuple(map(float, data["crashes"])), {str(k): str(v) for k, v in data["cameras"].items()}
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Quarantine()


def marks(cameras: Iterable[CameraSettings]) -> dict[str, str]:
    """By camera, and for EVERY: what a quarantine is bound to."""
    decoder = f"av {version('av')}"
    return {EVERY: decoder} | {
        camera.name: hashlib.sha256(f"{decoder} {camera.kind} {camera.options!r}".encode()).hexdigest()[:16]
        for camera in cameras
    }


def _record_crash(directory: Path, words: str, marked: Mapping[str, str], at: float) -> None:
    names = suspects(words)
    log.error(
        "the agent crashed when it last ran",
        cause=words.splitlines()[0],
        where=place(words) or "unknown",
        cameras=",".join(names) or "none",
        crashed_seconds_ago=round(clock.unix_now() - at),
        file=str(directory / LAST_CRASH_FILE),
    )
    if from_outside(words):
        return
    quarantine = load(directory).after_crash(names, marked, at)
    data: dict[str, Any] = asdict(quarantine)
    write_atomic(directory / QUARANTINE_FILE, json.dumps(data).encode())
