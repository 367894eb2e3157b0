"""`vedette run`: the agent itself, from a config file or for one source without any."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.config.schema import Settings
    from agent.service import Service

HELP = "run the agent, with a config file or on one source"
EXIT_EXHAUSTED = 70  # sysexits.h EX_SOFTWARE: a part failed again and again; systemd starts us afresh


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--config", metavar="FILE", help="the config file (see `vedette config example`)")
    parser.add_argument(
        "--source",
        metavar="SOURCE",
        action="append",
        default=[],
        help="a video file, a folder of images, rtsp://..., http://..., /dev/video0 or `synthetic`; repeatable",
    )
    parser.add_argument("--model", metavar="ONNX", help="the model (default: the small demo model)")
    parser.add_argument(
        "--broker", metavar="URL", help="mqtt://[USER:PASSWORD@]HOST[:PORT] (default: the config's)"
    )
    parser.add_argument("--window", metavar="TIME", help="length of a window, such as 5s or 1m")
    parser.add_argument("--state", metavar="DIR", help="where state is kept")
    parser.add_argument("--loop", action="store_true", help="read files again and again")
    parser.add_argument("--fast", action="store_true", help="read files as fast as the model goes")
    parser.add_argument("--seconds", type=float, metavar="N", help="end after N seconds")
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"))


def run(args: argparse.Namespace) -> int:
    """Run until a signal, the end of every source, or `--seconds`."""
    from agent import log
    from agent.cli.sources import settings_from
    from agent.errors import VedetteError

    if not args.config and not args.source:
        raise VedetteError("give --config FILE or --source SOURCE (see `vedette run --help`)")
    load: Callable[[], Settings] = lambda: settings_from(args)  # noqa: E731
    settings = load()
    log.set_up(args.log_level or settings.log.level, settings.log.format)

    from agent.service import Service

    service = Service(settings, load=load if args.config else None)
    service.open()
    service.start()
    return attend(service, seconds=args.seconds)


def attend(service: Service, *, seconds: float | None = None, each: Callable[[], None] = lambda: None) -> int:
    """Stand by the started service until it is time to stop, then stop it; the exit code."""
    import structlog

    from agent.errors import VedetteError
    from agent.systemd import Notifier

    log = structlog.get_logger("vedette")
    stop, reload = threading.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    signal.signal(signal.SIGHUP, lambda *_: reload.set())
    notifier = Notifier()
    log.info("vedette is running", cameras=len(service.settings.cameras))
    notifier.send("READY=1", f"STATUS={service.line()}")
    clock = Countdown(seconds)
    while not (stop.is_set() or clock.over() or service.ended() or service.supervisor.exhausted):
        stop.wait(0.5)
        each()
        if not service.supervisor.stuck():
            notifier.send("WATCHDOG=1", f"STATUS={service.line()}")
        if reload.is_set():
            reload.clear()
            try:
                service.reload()
            except VedetteError as error:
                log.error("config not reloaded, the old one stays in force", error=str(error))
    notifier.send("STOPPING=1")
    exhausted = service.supervisor.exhausted
    damaged = service.damaged() if service.ended() else []
    log.info("stopping", reason="a part gave up" if exhausted else "asked to" if stop.is_set() else "done")
    service.stop()
    if damaged:
        log.error("a source could not be read to its end", cameras=",".join(damaged))
    return EXIT_EXHAUSTED if exhausted else int(bool(damaged))


class Countdown:
    """Says when `seconds` (None: never) have passed."""

    def __init__(self, seconds: float | None) -> None:
        self._done = threading.Event()
        if seconds is not None:
            timer = threading.Timer(seconds, self._done.set)
            timer.daemon = True
            timer.start()

    def over(self) -> bool:
        """Whether the time is up."""
        return self._done.is_set()
