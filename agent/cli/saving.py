"""`vedette run --save DIR`: pictures with boxes as files, one a second of each camera, and a bounded number."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime, timezone
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
    """Writes in a thread of its own for as long as its block lasts; `pictures` gives them. A full disk ends nothing."""

    def __init__(self, directory: Path, pictures: LastSnapshots) -> None:
        self._directory, self._pictures = directory, pictures
        self._written: deque[Path] = deque()
        self._last: dict[str, float] = {}
        self._said = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="saver", daemon=True)

    def __enter__(self) -> Saver:
        """Write from now on; raises VedetteError where the directory cannot be made."""
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
        """Write the picture of each camera that has a new one."""
        for camera in self._pictures.cameras():
            picture = self._pictures.picture(camera)
            if picture is not None and picture.captured_at != self._last.get(camera):
                self._last[camera] = picture.captured_at
                path = self._directory / file_name(camera, picture.captured_at)
                self._try(lambda path=path, jpeg=picture.jpeg: self._write(path, jpeg))  # type: ignore[misc]

    def _write(self, path: Path, jpeg: bytes) -> None:
        write_atomic(path, jpeg)
        self._written.append(path)
        while len(self._written) > MOST_FILES:
            self._written.popleft().unlink(missing_ok=True)

    def _try(self, write: Callable[[], None]) -> None:
        try:
            write()
            self._said = ""
        except OSError as error:
            reason = f"{self._directory}: {error.strerror}"
            if reason != self._said:
                self._said = reason
                log.warning("a picture could not be saved, trying on", reason=reason)
