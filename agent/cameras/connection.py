"""One connection of one camera, in a thread of its own that can be given up.

A driver or a decoder can hang where no timeout reaches (a name server, a USB driver, FFmpeg itself), and a
thread cannot be ended from outside. So the thread that may hang is not the one that watches: it does the work
of the frames, and when it is silent for too long it is abandoned: asked to close, and ignored from then on.
"""

from __future__ import annotations

import contextlib
import functools
import statistics
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

import structlog

from agent.cameras import Camera
from agent.cameras.isolation.crash import named
from agent.core import clock
from agent.core.errors import CameraError
from agent.core.types import Frame

GAPS = 5

log = structlog.get_logger("vedette.cameras")


class Feed:
    """Opens `camera`, hands each frame to `sink`, closes it; `done` is set when the thread is through.

    `error` is then what ended it, None at the regular end of the source. `opened` says whether it came as far
    as frames could come, `touched` when there last was progress (monotonic seconds), `note` what is waited for.
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
        self.note = ""
        self._noted_at: float | None = None
        self.frames = 0
        self._gaps: deque[float] = deque(maxlen=GAPS)
        self.started = self.touched = clock.monotonic()
        self.first_frame: float | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def touch(self) -> None:
        """Record progress, or a good reason for none."""
        self.touched = clock.monotonic()

    def usual_gap(self) -> float:
        """Seconds from frame to frame, lately; 0 before that is known."""
        gaps = tuple(self._gaps)  # the thread that reads appends
        return statistics.median(gaps) if len(gaps) == GAPS else 0.0

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

    def noted_seconds(self) -> float:
        """For how long `note` has named something."""
        began = self._noted_at
        return 0.0 if began is None else clock.monotonic() - began

    def _on_waiting(self, note: str) -> None:
        self.touch()
        if not note:
            self._noted_at = None
        elif self._noted_at is None:
            self._noted_at = self.touched
        self.note = note

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
        if hasattr(self._camera, "on_waiting"):
            self._camera.on_waiting = self._on_waiting
        self._camera.open()
        self.opened = True
        self.touch()
        frame_at: float | None = None
        while not self.abandoned.is_set():
            frame = self._camera.read()
            if frame is None or self.abandoned.is_set():
                return
            self._on_waiting("")
            if frame_at is not None:
                self._gaps.append(self.touched - frame_at)
            frame_at = self.touched
            if self.first_frame is None:
                self.first_frame = self.touched
            self.frames += 1
            self._sink(self, frame)


def _show_name(camera: str) -> None:
    """Let `top -H` say which camera this thread decodes (the kernel keeps 15 characters)."""
    with contextlib.suppress(OSError):
        comm = Path(f"/proc/self/task/{threading.get_native_id()}/comm")
        comm.write_text(f"cam-{camera}"[:15], encoding="ascii")
