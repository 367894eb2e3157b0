"""The collector: takes frames that went through the model, and keeps those that are worth labelling.

Frames come by `offer`, which never blocks: what it has no time for is left out. All else is done in its own thread.
"""

from __future__ import annotations

import random
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from agent.config.schema import SampleSettings
from agent.core import clock
from agent.core.arguments import Handler, check_names
from agent.core.errors import VedetteError
from agent.core.types import FrameResult
from agent.core.worker import Worker
from agent.detection import ModelInfo
from agent.maintenance.samples.frames import CameraFrames, Encoded
from agent.maintenance.samples.sample import Sample, id_of
from agent.maintenance.samples.sealing import read_public_key, seal
from agent.maintenance.samples.selection import Pick
from agent.maintenance.samples.store import SampleStore

log = structlog.get_logger("vedette.samples")

OFFERED_SECONDS = 0.25
"""A camera's frames are looked at four times a second at most: an object that blinks is found by its neighbours."""

BOUND_SECONDS = 3600.0
ROOM = 0.95
"""Of the size, what is left where it was exceeded."""

_INBOX = 4
_TICK_SECONDS = 1.0


class SampleCollector(Worker):
    """Keeps samples in the state directory; `model` gives the facts of the running model, `estimate` the F1 that is
    estimated of a camera and model (its SHA-256) without labels."""

    def __init__(
        self,
        settings: SampleSettings,
        state_directory: Path,
        model: Callable[[], ModelInfo],
        estimate: Callable[[str, str], float | None] = lambda _camera, _model: None,
    ) -> None:
        super().__init__("samples")
        self._settings, self._model, self._estimate = settings, model, estimate
        self._store = SampleStore(state_directory)
        self._inbox: deque[FrameResult] = deque(maxlen=_INBOX)
        self._disputed: deque[tuple[FrameResult, float]] = deque(maxlen=_INBOX)
        self._offered: dict[str, int] = {}
        self._drifting: dict[str, bool] = {}
        self._wake = threading.Event()
        self._cameras: dict[str, CameraFrames] = {}
        self._kept: Counter[str] = Counter()
        self._chance = random.Random()
        self._unwritten = ""
        self._size, self._bound_at = 0, float("-inf")

    @property
    def enabled(self) -> bool:
        """Whether samples are collected at all."""
        return self._settings.enabled

    # -- called by the analyst's thread -----------------------------------------------------------------------

    def offer(self, result: FrameResult) -> None:
        """A frame that went through the model; it may be kept, and never delays anything."""
        frame = result.frame
        if not self.enabled or not frame.usable:
            return
        if self._settings.cameras and frame.camera not in self._settings.cameras:
            return
        if frame.monotonic_ns - self._offered.get(frame.camera, 0) < OFFERED_SECONDS * 1e9:
            return
        self._offered[frame.camera] = frame.monotonic_ns
        self._inbox.append(result)
        self._wake.set()

    def dispute(self, result: FrameResult, disagreement: float) -> None:
        """A frame that another model was run on, too: the share of boxes in which they differ; any thread may call."""
        if self._offered.get(result.frame.camera):  # else it is not one that may be kept
            self._disputed.append((result, disagreement))
            self._wake.set()

    def window(self, camera: str, body: Mapping[str, object]) -> None:
        """What a camera's window showed: whether it drifts."""
        self._drifting[camera] = body.get("drift_state") == "drift"

    def remove(self, camera: str) -> None:
        """A camera was removed: its samples stay on disk."""
        self._offered.pop(camera, None)
        self._drifting.pop(camera, None)

    # -- in its own thread ------------------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Collect until `stop` is set; what waits for its stretch to end is dropped then."""
        self.attempt("clean up after the last run", self._store.clean)
        while not stop.is_set():
            self._wake.wait(_TICK_SECONDS)
            self._wake.clear()
            self.beat()
            while self._inbox and not stop.is_set():
                result = self._inbox.popleft()
                self.attempt("choose samples", lambda result=result: self.add(result))  # type: ignore[misc]
            while self._disputed and not stop.is_set():
                dispute = self._disputed.popleft()
                self.attempt("choose samples", lambda dispute=dispute: self.add_disputed(*dispute))  # type: ignore[misc]
            self.attempt("keep samples", lambda: self.due(clock.monotonic()))

    def add(self, result: FrameResult) -> None:
        """Judge a frame, and keep what was chosen."""
        camera = result.frame.camera
        if camera not in self._cameras:
            self._cameras[camera] = CameraFrames(camera, self._settings, self._chance)
        frames, info = self._cameras[camera], self._model()
        frames.drifting = self._drifting.get(camera, False)
        frames.estimate = self._estimate(camera, info.sha256)
        self._keep(frames.add(result, info))

    def add_disputed(self, result: FrameResult, disagreement: float) -> None:
        """Judge a frame on which two models differ, and keep what was chosen."""
        frames = self._cameras.get(result.frame.camera)
        if frames is not None:
            self._keep(frames.add_disputed(result, self._model(), disagreement))

    def due(self, now: float) -> None:
        """Keep what was chosen of the stretches that ended by `now` (monotonic)."""
        for camera, frames in list(self._cameras.items()):
            self._keep(frames.due(now))
            if camera not in self._offered:
                del self._cameras[camera]

    def _keep(self, picks: Iterable[Pick]) -> None:
        for pick in picks:
            chosen = pick.content
            assert isinstance(chosen, Encoded)
            id = id_of(chosen.sample.camera, chosen.sample.captured_at, pick.reason)
            try:
                self._store.set_classes(chosen.sample.model, chosen.names)
                self._write(replace(chosen.sample, id=id, reason=pick.reason), chosen.jpeg)
                self._bound(len(chosen.jpeg))
            except (OSError, VedetteError) as error:
                self._refused(self._reason(error))
            else:
                self._unwritten = ""
                self._kept[pick.reason] += 1

    def _write(self, sample: Sample, jpeg: bytes) -> None:
        """Keep a sample, encrypted where that is asked for: never plain then, whatever fails."""
        key = self._settings.encrypt_to
        data = seal(jpeg, sample.id, read_public_key(Path(key))) if key else jpeg
        self._store.put(sample, data, sealed=bool(key))

    def _bound(self, added: int) -> None:
        """Keep all samples within their size and age.

        That reads each of them: it is done every BOUND_SECONDS, and with some room where they have grown too large.
        """
        self._size += added
        now, most = clock.monotonic(), self._settings.size
        if self._size > most or now >= self._bound_at:
            oldest = clock.unix_now() - self._settings.keep
            self._store.bound(int(ROOM * most) if self._size > most else most, oldest)
            self._size, self._bound_at = self._store.size(), now + BOUND_SECONDS

    def _reason(self, error: OSError | VedetteError) -> str:
        """The same for every sample that a full disk refuses, though each is another file."""
        if isinstance(error, OSError) and error.strerror:
            return f"{self._store.folder}: {error.strerror}"
        return str(error)

    def _refused(self, reason: str) -> None:
        if reason != self._unwritten:
            self._unwritten = reason
            log.warning("a sample cannot be written and is discarded", reason=reason)

    # -- on request -------------------------------------------------------------------------------------------

    def handlers(self) -> dict[str, Handler]:
        """The command `samples`."""
        return {"samples": self._report}

    def _report(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        check_names(args)
        return {
            "enabled": self.enabled,
            "since_start": dict(self._kept),
            "problem": self._unwritten,
        }
