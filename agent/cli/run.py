"""`vedette run`: the agent itself, from a config file or for one source without any."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import os
import shlex
import sys
import threading
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, TextIO, cast

from agent.cli.broker_options import LOGIN_EPILOG, add_login_arguments
from agent.cli.exit_codes import ExitCode
from agent.cli.times import seconds

if TYPE_CHECKING:
    from pathlib import Path

    from agent.app.service import Service
    from agent.app.signals import SignalRequests
    from agent.app.systemd import SystemdNotifier
    from agent.cli.live import LiveLines
    from agent.config.schema import Settings

FED_SECONDS = 30.0  # a stop that takes longer hangs, and systemd ends it
EPILOG = (
    """\
On a terminal the last lines are live: frames a second, latency, boxes, alerts. The log scrolls above them.

signals:
  TERM, INT   stop: open windows are published, within 10 seconds; a second signal ends the agent at once
  HUP         read the config file again; a bad one changes nothing (`vedette reload` prints the result)
  ABRT        write the stacks of all threads to crash.txt in the state directory and abort (systemd's watchdog
              sends it); the next start logs it and keeps the file as crash-last.txt

exit codes:
  0    stopped on request, or every source has ended
  1    the agent could not start (model or library missing or broken), or a source was damaged
  2    wrong usage of the command line
  70   a worker failed repeatedly; the service manager restarts the agent
  78   the configuration is wrong: the error names file, line and key; a restart does not help

"""
    + LOGIN_EPILOG
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("--config", metavar="FILE", help="the config file (see `vedette config example`)")
    parser.add_argument(
        "--source",
        metavar="SOURCE",
        action="append",
        default=[],
        help="a video file, a folder of images, rtsp://..., http://..., /dev/video0 or `synthetic`; repeatable",
    )
    parser.add_argument("--model", metavar="ONNX", help="the model (default: the small demo model)")
    parser.add_argument("--broker", metavar="URL", help="mqtt[s]://HOST[:PORT] (default: the config's)")
    add_login_arguments(parser)
    parser.add_argument("--window", metavar="TIME", help="length of a window, such as 5s or 1m")
    parser.add_argument("--state", metavar="DIR", help="where state is kept")
    parser.add_argument("--loop", action="store_true", help="repeat files without end")
    parser.add_argument("--fast", action="store_true", help="read files as fast as the model can")
    parser.add_argument("--seconds", type=seconds, metavar="N", help="end after N seconds")
    parser.add_argument(
        "--save",
        metavar="DIR",
        help="save frames with boxes in DIR: one a second of each camera; the newest 500 are kept",
    )
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        help="lowest level that is logged (default: the config's)",
    )


def _import_structlog_alone() -> None:
    """Import structlog without rich, which it would take along to colour tracebacks: 5 MB and 45 ms for a daemon."""
    missing = "rich" not in sys.modules
    if missing:
        sys.modules["rich"] = None  # type: ignore[assignment]  # (Python's own way to mark it as missing)
    try:
        importlib.import_module("structlog")
    finally:
        if missing:
            del sys.modules["rich"]


def run(args: argparse.Namespace) -> int:
    """Run until a signal, the end of every source, or `--seconds`."""
    from agent.app.signals import SignalRequests

    asked = SignalRequests()
    _import_structlog_alone()
    from agent.app.systemd import SystemdNotifier
    from agent.cli.sources import settings_from
    from agent.core.errors import VedetteError
    from agent.core.terminal import SafeStream
    from agent.logging import setup as log

    if not args.config and not args.source:
        raise VedetteError("give --config FILE or --source SOURCE (see `vedette run --help`)")

    def load() -> Settings:
        settings = settings_from(args)
        if args.log_level:
            settings = dataclasses.replace(
                settings, log=dataclasses.replace(settings.log, level=args.log_level)
            )
        return settings

    settings = load()
    live = live_lines(settings)
    stderr = log.set_up(settings.log.level, settings.log.format, cast(TextIO, live.screen) if live else None)
    sys.stderr = cast(TextIO, SafeStream(stderr))  # whoever else writes to it is not stopped by it either

    from agent.app.service import Service
    from agent.cameras.isolation import quarantine
    from agent.core.state_dir import directory, keep_private

    state = directory(settings.state_directory)
    keep_private(state)
    log_obstacles(state)
    quarantine.watch(state, settings.cameras)
    service = Service(
        settings, load=load if args.config else None, on_frame=live.frames.add if live else None
    )
    with live or nullcontext():
        if live:
            print(hints(args, settings), file=stderr)
        with SystemdNotifier().starting(
            f"loading the model {settings.model.path or '(the small one that ships)'}"
        ):
            service.open()
        service.start()
        if live:
            live.follow(service)
        with saving(args.save, service):
            return attend(service, asked, seconds=args.seconds)


def log_obstacles(state: Path) -> None:
    """Log what keeps this user from using the state directory: the agent goes on without, cameras come first."""
    import structlog

    from agent.core.state_access import obstacle, will_be_roots

    log = structlog.get_logger("vedette")
    if found := obstacle(state):
        log.error(f"{found.text}; the agent goes on without", mend=f"{found.mend}, then restart the agent")
    elif found := will_be_roots(state):
        log.warning(found.text, mend=found.mend)


def live_lines(settings: Settings) -> LiveLines | None:
    """Live lines on the terminal; None where stderr is none, or the log is for a journal."""
    if (
        not sys.stderr.isatty()
        or os.environ.get("TERM", "dumb") == "dumb"
        or settings.log.format == "journal"
    ):
        return None
    from agent.cli.live import LiveLines, Screen
    from agent.core.terminal import UnbufferedStream, raw_stream

    return LiveLines(Screen(UnbufferedStream.of(raw_stream(sys.stderr))))


def saving(directory: str | None, service: Service) -> AbstractContextManager[object]:
    """Save frames to `directory`, if any is given, while the block lasts."""
    if not directory:
        return nullcontext()
    from agent.cli.saving import Saver
    from agent.core.user import expanded

    return Saver(expanded(directory), service.snapshots)


def hints(args: argparse.Namespace, settings: Settings) -> str:
    """Commands for another terminal to watch the agent with, and a warning about the small model."""
    from agent.cli.sources import DRAWN_ONLY, knows_only_drawn

    which = (
        f" --config {shlex.quote(args.config)}"
        if args.config
        else f" --state {shlex.quote(args.state)}"
        if args.state
        else ""
    )
    lines = [
        "in another terminal:",
        f"  vedette snapshot{which}   the last frame with boxes",
        f"  vedette alerts{which}   what fires and why",
        f"  vedette watch --broker {settings.broker.url}   all devices, live",
    ]
    if knows_only_drawn(settings.model.path, (camera.kind for camera in settings.cameras)):
        lines.append(DRAWN_ONLY)
    return "\n".join(lines)


def attend(service: Service, asked: SignalRequests, *, seconds: float | None = None) -> int:
    """Wait until the started service is to stop, stop it, and return the exit code."""
    import structlog

    from agent import __version__
    from agent.app.systemd import SystemdNotifier
    from agent.logging.setup import say_repeats

    log = structlog.get_logger("vedette")
    asked.catch_stop()
    notifier = SystemdNotifier()
    log.info("vedette is running", version=__version__, cameras=len(service.settings.cameras))
    notifier.send("READY=1", f"STATUS={service.device.line()}")
    _keep_alive(service, asked, notifier, Countdown(seconds))
    exhausted = service.supervisor.exhausted
    reason = f"{exhausted} failed too often" if exhausted else "asked to" if asked.stop else "done"
    notifier.send("STOPPING=1", f"STATUS=stopping ({reason}): publishing open windows")
    damaged = service.camera_set.damaged() if service.camera_set.ended() else []
    log.info("stopping", reason=reason)
    with notifier.stopping(FED_SECONDS):
        service.stop()
    if damaged:
        log.error("a source could not be read to the end", cameras=",".join(damaged))
    say_repeats(everything=True)
    return ExitCode.EXHAUSTED if exhausted else int(bool(damaged))


def _keep_alive(
    service: Service, asked: SignalRequests, notifier: SystemdNotifier, countdown: Countdown
) -> None:
    """Feed the watchdog and start reloads until a stop is requested or nothing is left to do."""
    from agent.logging.setup import say_repeats

    reloading = False
    while not (asked.stop or countdown.over() or service.camera_set.ended() or service.supervisor.exhausted):
        asked.wait(0.5)
        if stuck := service.supervisor.stuck():  # the watchdog is not fed: systemd will start us afresh
            notifier.send(f"STATUS=stuck: {', '.join(stuck)}; {service.device.line()}")
        else:
            notifier.send("WATCHDOG=1", f"STATUS={service.device.line()}")
        say_repeats()
        if asked.take_reload():
            notifier.reloading()
            service.reloader.request()  # (in its own thread: this one feeds the watchdog)
            reloading = True
        elif reloading and not service.reloader.busy:
            notifier.send("READY=1", f"STATUS={service.device.line()}")
            reloading = False


class Countdown:
    """Whether `seconds` (None: never) have passed since it was made."""

    def __init__(self, seconds: float | None) -> None:
        self._done = threading.Event()
        if seconds is not None:
            timer = threading.Timer(seconds, self._done.set)
            timer.daemon = True
            timer.start()

    def over(self) -> bool:
        """Whether the time is up."""
        return self._done.is_set()
