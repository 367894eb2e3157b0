"""`vedette check`: checks a config and opens what it names: model, cameras, rules, state, broker."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli.broker_check import check_broker
from agent.cli.local import SYSTEM_CONFIG
from agent.cli.times import seconds
from agent.core import clock

if TYPE_CHECKING:
    from agent.config.schema import CameraSettings, Settings

PROBE_BYTES = 1024 * 1024  # a full disk takes an empty file, and often a small one
Row = tuple[str, bool, str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "file", nargs="?", default=str(SYSTEM_CONFIG), help="config file (default %(default)s)"
    )
    parser.add_argument("--offline", action="store_true", help="only read the file; open nothing")
    parser.add_argument(
        "--timeout", type=seconds, default=15.0, help="seconds for each camera (default %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Check, print a table; 0 only if all is well."""
    from rich.table import Table
    from rich.text import Text

    from agent.app.kinds import KINDS
    from agent.app.validate import validate
    from agent.cli.sources import require_camera
    from agent.config.load import load, placed
    from agent.core.terminal import console
    from agent.logging import setup as log

    log.set_up("error")
    settings = load(args.file, KINDS)
    require_camera(settings, args.file)
    with placed(args.file):
        rules = validate(settings)
    rows: list[Row] = [
        ("config", True, f"{args.file}: {_counts(settings, len(rules))}"),
    ]
    if not args.offline:
        rows += checks(settings, Path(args.file), args.timeout)
    table = Table(box=None, pad_edge=False)
    for column in ("what", "", "found"):
        table.add_column(column, overflow="fold")
    for what, good, found in rows:
        table.add_row(what, Text("ok", "green") if good else Text("FAILED", "bold red"), found)
    console().print(table)
    return 0 if all(good for _, good, _ in rows) else 1


def _counts(settings: Settings, rules: int) -> str:
    from agent.core.counts import count

    parts = (len(settings.cameras), "camera"), (rules, "rule"), (len(settings.notifiers), "notifier")
    return ", ".join(count(number, what) for number, what in parts)


def checks(settings: Settings, file: Path, timeout: float) -> Iterator[Row]:
    """A row for each thing that the config in `file` names."""
    yield attempt("state", lambda: _state(settings))
    yield attempt("model", lambda: _model(settings, file))
    for camera in settings.cameras:
        if camera.enabled:
            yield attempt(f"camera {camera.name}", partial(_camera, camera, timeout))
    yield attempt("broker", lambda: check_broker(settings, file))
    if settings.prometheus.listen:
        yield attempt("metrics", lambda: _metrics(settings))


def attempt(what: str, check: Callable[[], str]) -> Row:
    """One row: what the check found, or why it failed."""
    from agent.core.errors import VedetteError

    try:
        return what, True, check()
    except (VedetteError, OSError) as error:
        return what, False, str(error)


def _state(settings: Settings) -> str:
    from agent.core.errors import VedetteError
    from agent.core.state_access import obstacle
    from agent.core.state_dir import as_owner, directory

    path = directory(settings.state_directory)
    with as_owner(path):  # as the service writes there; root could write anywhere
        if found := obstacle(path):
            raise VedetteError(str(found))
        path.mkdir(parents=True, exist_ok=True)
        _write_for_real(path)
    free, wanted = shutil.disk_usage(path).free, settings.outbox.size
    short = f", less than the outbox may take ({wanted / 1e6:,.0f} MB)" if free < wanted else ""
    return f"{path} can be written; {free / 1e6:,.0f} MB free{short}"


def _write_for_real(folder: Path) -> None:
    """Write PROBE_BYTES to an unnamed file, so that nothing is replaced and no link followed; raises OSError."""
    with tempfile.TemporaryFile(dir=folder, buffering=0) as probe:
        left = PROBE_BYTES
        while left:
            left -= probe.write(b"\xa5" * left)
        os.fsync(probe.fileno())


def _model(settings: Settings, file: Path) -> str:
    from agent.app.validate import validate_classes
    from agent.config.load import placed
    from agent.core import memory as heap
    from agent.detection.session import Detector

    detector = Detector(settings.model)
    started = clock.monotonic()
    with heap.bounded():
        detector.open()
    info, (verification, _) = detector.info, detector.verification
    detector.close()
    with placed(file):
        validate_classes(settings, info)
    return (
        f"{Path(info.path).name}: {len(info.classes)} classes, input {info.input_size[1]}×{info.input_size[0]}, "
        f"layout {info.layout}, {verification.value}, "
        f"on {info.provider} ({info.precision}, {info.runtime}), ready in {clock.monotonic() - started:.1f} s"
    )


def _camera(settings: CameraSettings, timeout: float) -> str:
    from agent.cameras import CAMERAS
    from agent.core.errors import CameraError, CameraFailure

    camera = CAMERAS.load(settings.kind)(settings.name, settings.options)
    found: list[str | CameraError] = []
    notes = [""]
    if hasattr(camera, "on_waiting"):
        camera.on_waiting = notes.append

    def read() -> None:
        try:
            camera.open()
            frame = camera.read()
            shape = "ended before its first frame" if frame is None else "{1}×{0}".format(*frame.image.shape)
            found.append(shape)
        except CameraError as error:
            found.append(error)
        finally:
            camera.close()

    thread = threading.Thread(target=read, daemon=True)
    started = clock.monotonic()
    thread.start()
    thread.join(timeout)
    if not found:
        note = f": {notes[-1]}" if notes[-1] else ""
        raise CameraError(f"no frame within {timeout:.0f} s{note}", kind=CameraFailure.TIMEOUT)
    if isinstance(found[0], CameraError):
        raise found[0]
    return f"{settings.kind}, {found[0]}, first frame after {clock.monotonic() - started:.1f} s"


def _metrics(settings: Settings) -> str:
    import agent.exporter.server  # noqa: F401  (raises MissingExtra where its library is missing)

    return f"to be served at http://{settings.prometheus.listen}/metrics"
