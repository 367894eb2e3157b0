"""`vedette run --save DIR`: saves frames with boxes as files, one a second of each camera, the newest 500."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import structlog

from agent.core.errors import VedetteError
from agent.core.state_dir import write_atomic
from agent.pipeline.snapshots import LastSnapshots

SAVE_SECONDS = 1.0
MOST_FILES = 500
"""At 100 kB each they take 50 MB; older ones of this run are removed."""

log = structlog.get_logger("vedette")


def file_name(camera: str, captured_at: float) -> str:
    """A name that sorts by camera and time: `front-20260131T120000.250Z.jpg`."""
    taken = datetime.fromtimestamp(captured_at, timezone.utc)
    return f"{camera}-{taken:%Y%m%dT%H%M%S}.{taken.microsecond // 1000:03d}Z.jpg"


class Saver:
    """Writes new snapshots in its own thread while the block lasts; a full disk is logged, and it tries again."""

    def __init__(self, directory: Path, snapshots: LastSnapshots) -> None:
        self._directory, self._snapshots = directory, snapshots
        self._written: deque[Path] = deque()
        self._last: dict[str, float] = {}
        self._reported = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="saver", daemon=True)

    def __enter__(self) -> Saver:
        """Start writing; raises VedetteError where the directory cannot be made."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise VedetteError(
                f"--save {self._directory}: {error.strerror}; give a folder to write to"
            ) from None
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join(5.0)

    def _run(self) -> None:
        while not self._over.wait(SAVE_SECONDS):
            self.save()
        self.save()

    def save(self) -> None:
        """Write the snapshot of each camera that has a new one."""
        for camera in self._snapshots.cameras():
            snapshot = self._snapshots.snapshot(camera)
            if snapshot is not None and snapshot.captured_at != self._last.get(camera):
                self._last[camera] = snapshot.captured_at
                path = self._directory / file_name(camera, snapshot.captured_at)
                self._try(partial(self._write, path, snapshot.jpeg))

    def _write(self, path: Path, jpeg: bytes) -> None:
        write_atomic(path, jpeg)
        self._written.append(path)
        while len(self._written) > MOST_FILES:
            self._written.popleft().unlink(missing_ok=True)

    def _try(self, write: Callable[[], None]) -> None:
        try:
            write()
            self._reported = ""
        except OSError as error:
            reason = f"{self._directory}: {error.strerror}"
            if reason != self._reported:
                self._reported = reason
                log.warning("snapshot not saved, trying again", reason=reason)
