"""`vedette selftest`: runs the whole agent for a few seconds, isolated, to check an installation and its config.

It uses the config's model and ways of measuring, a drawn camera, a scratch state directory and no broker, so it may
run beside the agent that is in service: an upgrade asks it before it switches over.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli.local import SYSTEM_CONFIG
from agent.cli.times import seconds
from agent.core import clock
from agent.core.counts import count

if TYPE_CHECKING:
    from agent.app.service import Service
    from agent.config.schema import Settings

WINDOW_SECONDS = 1.0
CLOSED_PORT = 9  # "discard": nobody listens there, and the broker of the running agent is left alone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--config", metavar="FILE", help=f"the agent's config (default {SYSTEM_CONFIG} if it is there)"
    )
    parser.add_argument(
        "--seconds",
        type=seconds,
        default=30.0,
        metavar="N",
        help="longest time until the test passes; it ends as soon as it does (default %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Run, judge, print a line for each finding; 0 if all is well, 1 if not, 78 for a bad config."""
    from agent import __version__
    from agent.app.kinds import KINDS
    from agent.app.service import Service
    from agent.app.validate import validate
    from agent.config.load import load, placed
    from agent.config.schema import Settings
    from agent.core.state_dir import directory
    from agent.logging import setup as log

    log.set_up("error", "plain")
    file = args.config or (str(SYSTEM_CONFIG) if SYSTEM_CONFIG.exists() else None)
    settings = load(file, KINDS) if file else Settings()
    with placed(file):
        validate(settings)
    with tempfile.TemporaryDirectory(prefix="vedette-selftest-") as scratch:
        engines = directory(settings.state_directory) / "engines"
        if engines.is_dir():  # what was built for this GPU need not be built again
            (Path(scratch) / "engines").symlink_to(engines)
        began = clock.monotonic()
        service = Service(to_itself(settings, scratch))
        service.open()
        info = service.detector.info
        runs = f"{info.provider} ({info.precision}, {info.runtime})"
        print(f"model     {info.name} on {runs}, ready in {clock.monotonic() - began:.1f} s")
        service.start()
        try:
            found = judge(service, args.seconds)
        finally:
            service.stop()
    for what, wrong, text in found:
        print(f"{what:<9} {'FAILED: ' if wrong else ''}{text}")
    well = not any(wrong for _, wrong, _ in found)
    print(f"vedette {__version__} {'works' if well else 'DOES NOT WORK'} with {file or 'the defaults'}")
    return int(not well)


def to_itself(settings: Settings, scratch: str) -> Settings:
    """`settings` cut off from the outside: no cameras, broker, notifiers, listeners or state of theirs."""
    from agent.cameras import CAMERAS
    from agent.config.schema import CameraSettings, Settings
    from agent.core.secret import Masked

    defaults = Settings()
    drawn = CameraSettings(
        name="selftest", kind="synthetic", options=CAMERAS.load("synthetic").Options(pace="live")
    )
    return dataclasses.replace(
        defaults,
        state_directory=scratch,
        model=settings.model,
        telemetry=settings.telemetry,
        windows=dataclasses.replace(settings.windows, length=WINDOW_SECONDS),
        broker=dataclasses.replace(defaults.broker, url=Masked(f"mqtt://127.0.0.1:{CLOSED_PORT}")),
        cameras=(drawn,),
    )


def judge(service: Service, longest: float) -> list[tuple[str, bool, str]]:
    """The findings after two windows, or as soon as none failed, within `longest` seconds."""
    began = clock.monotonic()
    while True:
        time.sleep(0.5)
        passed = clock.monotonic() - began
        found = list(findings(service, passed))
        well = not any(wrong for _, wrong, _ in found)
        if passed >= longest or (well and passed >= 2 * WINDOW_SECONDS):
            return found


def findings(service: Service, passed: float) -> Iterator[tuple[str, bool, str]]:
    """The finding on each stage after `passed` seconds: its name, whether it failed, a text."""
    fps = service.device.fps
    if fps > 0:
        yield "frames", False, f"{fps:.1f} frames/s went through the model"
    else:
        slow = "this machine may need longer: `--seconds 300`"
        yield "frames", True, f"no frame went through the model in {passed:.0f} s; {slow}"
    waiting = service.publisher.statistics().get("outbox_messages", 0)
    yield "outbox", waiting <= 0, f"{count(round(waiting), 'message waits', 'messages wait')} for a broker"
    failing = [part for part in service.supervisor.health() if part.failures or part.stuck]
    yield "parts", bool(failing), ", ".join(f"{part.name} {part.state}" for part in failing) or "all at work"
