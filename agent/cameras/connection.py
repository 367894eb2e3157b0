"""One connection of one camera, in a thread of its own that can be given up.

A driver or a decoder can hang where no timeout reaches (a name server, a USB driver, FFmpeg itself), and a
thread cannot be ended from outside. So the thread that may hang is not the one that watches: it does the work
of the frames, and when it is silent for too long it is abandoned: asked to close, and ignored from then on.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from agent.cameras import Camera
from agent.cameras.isolation.crash import named
from agent.core import clock
from agent.core.errors import CameraError
from agent.core.types import Frame

log = structlog.get_logger("vedette.cameras")


class Feed:
    """Opens `camera`, hands each frame to `sink`, closes it; `done` is set when the thread is through.

    `error` is then what ended it, None at the regular end of the source. `opened` says whether it came as far
    as frames could come, `touched` when there last was progress (monotonic seconds).
    """

    def __init__(self, camera: Camera, name: str, sink: Callable[[Feed, Frame], None]) -> None:
        self._camera, self._sink = camera, sink
        self._name = name
        run = functools.partial(named(Feed._run, name), self)
        self._thread = threading.Thread(target=run, name=f"camera-{name}-feed", daemon=True)
        self.abandoned = threading.Event()
        self.done = threading.Event()
        self.error: Exception | None = None
        self.opened = False
        self.frames = 0
        self.started = self.touched = clock.monotonic()
        self.first_frame: float | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def touch(self) -> None:
        """Record progress, or a good reason for none."""
        self.touched = clock.monotonic()

    def silent_seconds(self) -> float:
        """Seconds since there was progress."""
        return clock.monotonic() - self.touched

    def healthy_seconds(self) -> float:
        """For how long frames have come."""
        return 0.0 if self.first_frame is None else self.touched - self.first_frame

    def abandon(self, patience: float) -> bool:
        """Ask the thread to end, and wait `patience` seconds for it; returns whether it did."""
        self.abandoned.set()
        self._close()
        return self.done.wait(patience)

    def _run(self) -> None:
        _show_name(self._name)
        try:
            self._read_on()
        except CameraError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001  (carried to the reader, which raises it to the supervisor)
            self.error = error
        finally:
            self._close()
            self.done.set()

    def _close(self) -> None:
        """Close the camera; one that cannot even be closed has no frames to lose by it."""
        try:
            self._camera.close()
        except Exception as error:  # noqa: BLE001  (whatever a driver raises here, the thread ends and says so)
            log.warning(
                "camera cannot be closed", camera=self._name, error=f"{type(error).__name__}: {error}"
            )

    def _read_on(self) -> None:
        self._camera.open()
        self.opened = True
        self.touch()
        while not self.abandoned.is_set():
            frame = self._camera.read()
            if frame is None or self.abandoned.is_set():
                return
            self.touch()
            if self.first_frame is None:
                self.first_frame = self.touched
            self.frames += 1
            self._sink(self, frame)


def _show_name(camera: str) -> None:
    """Let `top -H` say which camera this thread decodes (the kernel keeps 15 characters)."""
    with contextlib.suppress(OSError):
        comm = Path(f"/proc/self/task/{threading.get_native_id()}/comm")
        comm.write_text(f"cam-{camera}"[:15], encoding="ascii")
