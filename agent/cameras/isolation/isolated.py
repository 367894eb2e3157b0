"""A camera that is read in a separate process, so that a crash of its decoder ends nothing else.

It costs a process (about 60 MB) and two copies of every frame through a pipe; `docs/benchmarks-cameras.md`
has the figures. So it is for the camera that needs it: see `agent.cameras.isolation.quarantine`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.cameras import CAMERAS
from agent.cameras.isolation.child import Child, ended_by
from agent.cameras.isolation.worker import (
    END,
    ERROR,
    FRAME,
    HEAD,
    WAITING,
    MessageHeader,
    parse_error,
    request,
)
from agent.cameras.owned import ClosedError
from agent.core.child_environment import own_python
from agent.core.errors import CameraError, CameraFailure
from agent.core.types import Frame


class IsolatedCamera:
    """The camera `name` of `kind`, as its own class would read it, in another process."""

    def __init__(self, kind: str, name: str, options: Any) -> None:
        self.name, self.options = name, options
        self._request = request(kind, name, options)
        inside = CAMERAS.load(kind)(name, options)
        self.lossless = bool(getattr(inside, "lossless", False))
        self.finite = bool(getattr(inside, "finite", False))
        self.period = float(getattr(inside, "period", 0.0))
        self.on_waiting: Callable[[str], None] = lambda _note: None
        self._child: Child | None = None
        self._lock = threading.Lock()
        self._index = self._failed = 0
        self._ended = False

    @property
    def pid(self) -> int | None:
        """The process that reads, while there is one."""
        child = self._child
        return child.pid if child else None

    def open(self) -> None:
        """Start the process and wait until its camera is open; raises CameraError."""
        child = Child(
            lambda fd: own_python("agent.cameras.isolation.worker", str(fd)),
            request=self._request,
            capture_stderr=False,  # its log lines and its last words go where ours go
            stop_signal=None,
            grace=1.0,
        )
        with self._lock:
            self._child, self._index, self._ended = child, 0, False
        try:
            child.start()
        except (OSError, ClosedError) as error:
            self.close()
            raise CameraError(
                f"no process for camera '{self.name}': {error}", kind=CameraFailure.OTHER
            ) from None
        try:
            self._receive(child)
        except CameraError:
            self.close()
            raise

    def read(self) -> Frame | None:
        """The next frame; None at the regular end of the source."""
        child = self._child
        if child is None:
            raise CameraError(f"camera '{self.name}' is not open", kind=CameraFailure.OTHER)
        return None if self._ended else self._receive(child)

    def close(self) -> None:
        """End the process; from another thread, ask it to end."""
        with self._lock:
            child, self._child = self._child, None
        if child is not None:
            child.close()

    def take_failed(self) -> int:
        """How many frames were damaged, and so left out, since the last call."""
        count, self._failed = self._failed, 0
        return count

    def _receive(self, child: Child) -> Frame | None:
        """The next message: a frame, or None for one that brings none; raises CameraError."""
        try:
            head = self._head(child)
            while head.what == WAITING:
                self.on_waiting(self._take(child, head.length).tobytes().decode("utf-8", "replace"))
                head = self._head(child)
            self._failed += head.failed
            if head.what == ERROR:
                raise parse_error(self._take(child, head.length).tobytes())
            if head.what == FRAME:
                return self._frame(head, self._take(child, head.length))
        except ClosedError:
            raise CameraError(f"camera '{self.name}' was closed", kind=CameraFailure.OTHER) from None
        self._ended = head.what == END
        return None

    def _head(self, child: Child) -> MessageHeader:
        return MessageHeader.unpack(self._take(child, HEAD.size).tobytes())

    def _take(self, child: Child, length: int) -> NDArray[np.uint8]:
        data = child.take(length, None)  # the camera inside has its own time limits
        if data is None:
            code = child.end()
            how = ended_by(-code) if code < 0 else f"failed with exit code {code}"
            raise CameraError(
                f"the process that reads camera '{self.name}' {how}; see the journal",
                kind=CameraFailure.CRASHED,
            )
        return data

    def _frame(self, head: MessageHeader, data: NDArray[np.uint8]) -> Frame:
        data.setflags(write=False)
        index, self._index = self._index, self._index + 1
        return Frame(
            camera=self.name,
            index=index,
            image=data.reshape(head.height, head.width, 3),
            captured_at=head.captured_at,
            monotonic_ns=head.monotonic_ns,
            decode_seconds=head.decode_seconds,
            media_seconds=None if math.isnan(head.media_seconds) else head.media_seconds,
        )
