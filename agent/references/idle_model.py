"""Pieces of work in idle time, runs of the model among them: only while the box is idle, with a rest after each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from agent.core import clock
from agent.core.errors import InferenceError, ModelError
from agent.core.scope import WHOLE, Scope
from agent.core.types import Detections, Frame
from agent.detection.session import Detector
from agent.detection.thermal.governor import Governor
from agent.references.model_signals import Seen, turned_back

_POLL_SECONDS = 1.0

Result = TypeVar("Result")


class IdleModel:
    """Belongs to one thread, whose `beat` it calls.

    It works for `share` of the time at most, while the model is busy for less than `busy_limit`.
    """

    def __init__(
        self,
        detector: Detector,
        governor: Governor,
        *,
        share: float,
        busy_limit: float,
        beat: Callable[[], None],
    ) -> None:
        self._detector, self._governor = detector, governor
        self._share, self._busy_limit, self._beat = share, busy_limit, beat
        self._worked, self._since = 0.0, clock.monotonic()

    @property
    def name(self) -> str:
        """The SHA-256 of the model; "" while there is none."""
        return self._detector.info.sha256 if self._detector.opened else ""

    def do(self, stop: threading.Event, work: Callable[..., Result], *given: object) -> Result:
        """Do a piece of work once the box is idle, and rest after it."""
        while not stop.is_set() and not self._idle():
            self._beat()
            stop.wait(_POLL_SECONDS)
        began = clock.monotonic()
        result = work(*given)
        spent = clock.monotonic() - began
        self._worked += spent
        self._beat()
        stop.wait(spent * (1 / self._share - 1))
        return result

    def detect(
        self, stop: threading.Event, camera: str, image: NDArray[np.uint8], scope: Scope = WHOLE
    ) -> Detections | None:
        """What the model finds on an image; None where it fails."""
        return self.do(stop, self._detect, camera, image, scope)

    def see(self, stop: threading.Event, camera: str, image: NDArray[np.uint8]) -> Seen | None:
        """What it finds on an image and on its mirror image; None where it fails. Boxes alone: looks are kept."""
        plain = self.detect(stop, camera, image)
        mirrored = self.detect(stop, camera, np.ascontiguousarray(image[:, ::-1]))
        if plain is None or mirrored is None or plain.model != mirrored.model:
            return None
        turned = turned_back(mirrored, image.shape[1])
        return Seen(plain=replace(plain, embedding=None), mirrored=replace(turned, embedding=None))

    def take_share(self) -> float:
        """For which share of the time since the last call it worked."""
        now = clock.monotonic()
        share = self._worked / max(now - self._since, 1e-9)
        self._worked, self._since = 0.0, now
        return min(1.0, share)

    def _detect(self, camera: str, image: NDArray[np.uint8], scope: Scope) -> Detections | None:
        frame = Frame(camera=camera, index=0, image=image, captured_at=0.0, monotonic_ns=0, scope=scope)
        try:
            return self._detector.detect([frame]).detections[0]
        except (InferenceError, ModelError):
            return None

    def _idle(self) -> bool:
        return self._governor.pace.full and self._governor.busy < self._busy_limit
