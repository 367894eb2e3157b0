"""The thread that works on kept frames in idle time: signatures of known causes, and references for another model.

It gives way to all else: it works only while the model is less busy than a limit and no heat holds it back, one frame
at a time, for a set share of the time, at the lowest priority of the system.
"""

from __future__ import annotations

import hashlib
import os
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from pathlib import Path
from typing import TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from agent.core import clock
from agent.core.errors import InferenceError, ModelError, ReferenceMismatch
from agent.core.scope import WHOLE, Scope
from agent.core.types import Detections, Frame
from agent.core.worker import Worker
from agent.detection.nms import overlap
from agent.detection.session import Detector
from agent.detection.thermal.governor import Governor
from agent.drift.diagnosis.learn import (
    LEAST_FRAMES,
    STEPS,
    Learner,
    Step,
    changed,
    changing,
    found_by_cause,
)
from agent.drift.diagnosis.signatures import Signatures, from_text, to_text
from agent.references.carried import Carry, carried
from agent.references.causes import span_of
from agent.references.frame_store import ALWAYS, MOST_FRAMES, FrameStore, Span, mark_in
from agent.references.store import SIGNATURES, ReferenceStore
from agent.references.stored import StoredReference

log = structlog.get_logger("vedette.drift")

MOST_LEARNT_OF = 12
"""Frames, spread over those that are kept: each is changed some seventy times."""

FOUND_IOU = 0.5
_POLL_SECONDS = 1.0
_LOWEST_PRIORITY = 19

Result = TypeVar("Result")
Done = Callable[[str, Signatures | None], None]
Carried = Callable[[StoredReference], None]


@dataclass(frozen=True, slots=True)
class Job:
    """Signatures of a camera are wanted, of the frames of a span; with `model` what causes do to its detections."""

    camera: str
    span: Span
    model: bool = False


class SignatureLearner(Worker):
    """Carries out jobs one after the other; `done` is called in its thread with what was learnt or read, or with None
    where too few frames are kept.

    It works for `share` of the time at most, while the model is busy for less than `busy_limit`.
    """

    patience_seconds = 600.0

    def __init__(
        self,
        detector: Detector,
        governor: Governor,
        state_directory: Path,
        *,
        done: Done,
        share: float,
        busy_limit: float,
    ) -> None:
        super().__init__("signatures")
        self._share, self._busy_limit = share, busy_limit
        self._detector, self._governor = detector, governor
        self._store, self._done = ReferenceStore(state_directory), done
        self._frames = FrameStore(self._store)
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._carries: queue.SimpleQueue[tuple[Carry, Carried]] = queue.SimpleQueue()
        self._worked, self._since = 0.0, clock.monotonic()

    def ask(self, camera: str, span: Span, anew: bool) -> None:
        """Hand over the signatures that there are; have those made that are missing, or all `anew`. From any thread."""
        names, known = self._names(camera, span), self._known(camera)
        if len(names) < LEAST_FRAMES:
            self._done(camera, None)
            return
        stale = known is None or (anew and known.frames != self._name(names))
        if known is not None and not stale:
            self._done(camera, known)
        if stale or known is None or not known.found:
            self._jobs.put(Job(camera, span, model=not stale))

    def carry(self, wanted: Carry, done: Carried) -> None:
        """Have the provisional reference of another model made, where frames suffice. From any thread."""
        self._carries.put((wanted, done))

    def take_window(self) -> Mapping[str, float]:
        """The field of the host's summary: for which share of the time since the last call it worked."""
        now = clock.monotonic()
        share = self._worked / max(now - self._since, 1e-9)
        self._worked, self._since = 0.0, now
        return {"idle_busy_ratio": round(min(1.0, share), 4)}

    def run(self, stop: threading.Event) -> None:
        """Learn until `stop` is set."""
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)
        while not stop.is_set():
            self.beat()
            if not self._carries.empty():  # first: until then that camera is not judged
                wanted, done = self._carries.get()
                subject = wanted.subject
                self.attempt(
                    f"make a provisional reference of camera {subject.camera}",
                    partial(self.make_carried, wanted, done, stop),
                )
                continue
            try:
                job = self._jobs.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
            self.attempt(f"learn the causes of camera {job.camera}", partial(self.carry_out, job, stop))

    def carry_out(self, job: Job, stop: threading.Event) -> None:
        """Do one job, paced; in the learner's thread."""
        names = self._names(job.camera, job.span)
        images = self._frames.read(job.camera, names)
        if len(images) < LEAST_FRAMES:
            self._done(job.camera, None)
            return
        if job.model:
            made = self._with_found(job.camera, images, stop)
        else:
            made = self._learn(images, self._name(names), stop)
            self._jobs.put(
                replace(job, model=True)
            )  # after the jobs of other cameras: they need causes first
        if made is None or not self._frames.names(job.camera, ALWAYS, 1):
            return  # it was stopped, or frames may be kept no longer
        self._store.write(job.camera, SIGNATURES, to_text(made))
        self._done(job.camera, made)
        log.info("known causes of drift are learnt", camera=job.camera, frames=len(images), model=job.model)

    def make_carried(self, wanted: Carry, done: Carried, stop: threading.Event) -> None:
        """Run the model over the kept frames of the old reference, paced; `done` gets the one that comes of it."""
        camera, span = wanted.subject.camera, span_of(wanted.base)
        images = self._frames.read(camera, self._frames.names(camera, span, MOST_FRAMES))
        seen = [(image, self._paced(stop, self._detect, camera, image, wanted.scope)) for image in images]
        made = carried(
            wanted, [(image, found) for image, found in seen if found is not None], clock.unix_now()
        )
        if made is not None and not stop.is_set():
            done(made)

    def _names(self, camera: str, span: Span) -> list[str]:
        names = self._frames.names(camera, span, MOST_LEARNT_OF)
        if len(names) >= LEAST_FRAMES:
            return names
        later = Span(span.start, inf)  # they were kept while nothing was recorded
        return self._frames.names(camera, later, MOST_LEARNT_OF)

    def _name(self, names: Sequence[str]) -> str:
        """The mark of the areas that are hidden in these frames, then a digest of which they are and of the model."""
        digest = hashlib.sha256(" ".join([self._detector_name(), *names]).encode()).hexdigest()[:16]
        return f"{mark_in(names[-1])}-{digest}"

    def _known(self, camera: str) -> Signatures | None:
        try:
            text = self._store.read(camera, SIGNATURES)
            return None if text is None else from_text(text)
        except ReferenceMismatch:
            return None

    def _learn(
        self, images: Sequence[NDArray[np.uint8]], name: str, stop: threading.Event
    ) -> Signatures | None:
        """The signatures; None where it was stopped."""
        learner = self._paced(stop, Learner, images, name)
        for step in STEPS:
            if stop.is_set():
                return None
            self._paced(stop, learner.add, step)
        return learner.result()

    def _with_found(
        self, camera: str, images: Sequence[NDArray[np.uint8]], stop: threading.Event
    ) -> Signatures | None:
        """The signatures with what the model still finds; None where it was stopped, or they have that."""
        known, plain = self._known(camera), changing(images)
        if known is None or known.found:
            return None
        clean = [self._paced(stop, self._detect, camera, image) for image in plain]
        shares: dict[Step, float] = {}
        for step in STEPS:
            if stop.is_set():
                return None
            seen = [
                self._paced(stop, self._detect, camera, image)
                for image in self._paced(stop, changed, plain, step)
            ]
            shares[step] = found_share(clean, seen)
        return replace(known, found=found_by_cause(shares))

    def _detect(self, camera: str, image: NDArray[np.uint8], scope: Scope = WHOLE) -> Detections | None:
        frame = Frame(camera=camera, index=0, image=image, captured_at=0.0, monotonic_ns=0, scope=scope)
        try:
            return self._detector.detect([frame]).detections[0]
        except (InferenceError, ModelError):
            return None

    def _paced(self, stop: threading.Event, work: Callable[..., Result], *given: object) -> Result:
        """Do a piece of work once the box is idle, and rest after it."""
        while not stop.is_set() and not self._idle():
            self.beat()
            stop.wait(_POLL_SECONDS)
        began = clock.monotonic()
        result = work(*given)
        spent = clock.monotonic() - began
        self._worked += spent
        self.beat()
        stop.wait(spent * (1 / self._share - 1))
        return result

    def _idle(self) -> bool:
        return self._governor.pace.full and self._governor.busy < self._busy_limit

    def _detector_name(self) -> str:
        return self._detector.info.sha256 if self._detector.opened else ""


def found_share(clean: Sequence[Detections | None], seen: Sequence[Detections | None]) -> float:
    """The share of the detections on clean frames that are found again, by class and overlap; NaN without any."""
    found = total = 0
    for before, after in zip(clean, seen, strict=True):
        if before is None or after is None:
            continue
        alike = before.class_ids[:, None] == after.class_ids[None, :]
        total += len(before)
        if len(after):
            found += int(((overlap(before.boxes, after.boxes) >= FOUND_IOU) & alike).any(axis=1).sum())
    return found / total if total else float("nan")
