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

import numpy as np
import structlog
from numpy.typing import NDArray

from agent.core import clock
from agent.core.errors import ReferenceMismatch
from agent.core.types import Detections, Image
from agent.core.worker import Worker
from agent.detection.nms import overlap
from agent.detection.session import Detector
from agent.detection.thermal.governor import Governor
from agent.drift.diagnosis.accuracy import Estimate
from agent.drift.diagnosis.learn import (
    LEAST_FRAMES,
    MODEL_STEPS,
    STEPS,
    CauseStep,
    Learner,
    changed,
    found_by_cause,
)
from agent.drift.diagnosis.signatures import Signatures, from_text, to_text
from agent.references.accuracy_estimator import AccuracyEstimator, Glance
from agent.references.carried import Carry, carried
from agent.references.causes import span_of
from agent.references.frame_store import ALWAYS, MOST_FRAMES, FrameStore, NormalSpan, mark_in
from agent.references.idle_model import IdleModel
from agent.references.model_signals import Seen, TrialBook
from agent.references.store import SIGNATURES, ReferenceStore
from agent.references.stored import StoredReference

log = structlog.get_logger("vedette.drift")

MOST_LEARNT_OF = 12
"""Frames, spread over those that are kept: each is changed some seventy times."""

FOUND_IOU = 0.5
MOST_SEEN, LEAST_SEEN = 8, 4
"""Frames on which it is learnt what causes do to the model: each is run some hundred times."""

_POLL_SECONDS = 1.0
_LOWEST_PRIORITY = 19

Done = Callable[[str, Signatures | None], None]
Carried = Callable[[StoredReference], None]


@dataclass(frozen=True, slots=True)
class Job:
    """Signatures of a camera are wanted, of the frames of a span; with `model` what causes do to its detections."""

    camera: str
    span: NormalSpan
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
        estimated: Callable[[str, Estimate], None],
        share: float,
        busy_limit: float,
    ) -> None:
        super().__init__("signatures")
        self._idle = IdleModel(detector, governor, share=share, busy_limit=busy_limit, beat=self.beat)
        self._estimator = AccuracyEstimator(self._idle, estimated)
        self._store, self._done = ReferenceStore(state_directory), done
        self._frames = FrameStore(self._store)
        self._jobs: queue.SimpleQueue[tuple[str, bool]] = queue.SimpleQueue()
        self._wanted: dict[tuple[str, bool], Job] = {}
        self._lock = threading.Lock()
        self._carries: queue.SimpleQueue[tuple[Carry, Carried]] = queue.SimpleQueue()

    def ask(self, camera: str, span: NormalSpan, anew: bool) -> None:
        """Hand over the signatures that there are; have those made that are missing, or all `anew`. From any thread."""
        names, known = self._names(camera, span), self._known(camera)
        if len(names) < LEAST_FRAMES:
            self._done(camera, None)
            return
        stale = known is None or (anew and known.frames != self._name(names))
        if known is not None and not stale:
            self._estimator.learnt(camera, known.trials)
            self._done(camera, known)
        if stale or known is None or not known.found or self._of_another_model(known):
            self._want(Job(camera, span, model=not stale))

    def _want(self, job: Job) -> None:
        """Have a job done, in place of one of the same kind that still waits: a busy box may have no idle time for
        days, in which its reference is renewed again and again."""
        kind = job.camera, job.model
        with self._lock:
            waits = kind in self._wanted
            self._wanted[kind] = job
        if not waits:
            self._jobs.put(kind)

    def carry(self, wanted: Carry, done: Carried) -> None:
        """Have the provisional reference of another model made, where frames suffice. From any thread."""
        self._carries.put((wanted, done))

    def estimate(self, glance: Glance) -> None:
        """Have it estimated by these frames how right the model is, where that was learnt. From any thread."""
        self._estimator.ask(glance)

    def take_window(self) -> Mapping[str, float]:
        """The field of the host's summary: for which share of the time since the last call it worked."""
        return {"idle_busy_ratio": round(self._idle.take_share(), 4)}

    def run(self, stop: threading.Event) -> None:
        """Learn until `stop` is set."""
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)
        while not stop.is_set():
            self.beat()
            self._serve(stop)
            if not self._carries.empty():  # first: until then that camera is not judged
                wanted, done = self._carries.get()
                subject = wanted.subject
                self.attempt(
                    f"make a provisional reference of camera {subject.camera}",
                    partial(self.make_carried, wanted, done, stop),
                )
                continue
            try:
                kind = self._jobs.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
            with self._lock:
                job = self._wanted.pop(kind)
            self.attempt(f"learn the causes of camera {job.camera}", partial(self.carry_out, job, stop))

    def _serve(self, stop: threading.Event) -> None:
        """Estimates come between the steps of what takes minutes."""
        self.attempt("estimate how right the model is", partial(self._estimator.serve, stop))

    def carry_out(self, job: Job, stop: threading.Event) -> None:
        """Do one job, paced; in the learner's thread."""
        names = self._names(job.camera, job.span, MOST_FRAMES if job.model else MOST_LEARNT_OF)
        images = self._frames.read(job.camera, names)
        if len(images) < LEAST_FRAMES:
            self._done(job.camera, None)
            return
        if job.model:
            made = self._with_model(job.camera, images, stop)
        else:
            made = self._learn(images, self._name(names), stop)
            self._want(replace(job, model=True))  # after the jobs of other cameras: they need causes first
        if made is None or not self._frames.names(job.camera, ALWAYS, 1):
            return  # it was stopped, or frames may be kept no longer
        self._store.write(job.camera, SIGNATURES, to_text(made))
        self._estimator.learnt(job.camera, made.trials)
        self._done(job.camera, made)
        learnt_of = "frames and detections" if job.model else "frames"
        log.info(
            "known causes of drift are learnt",
            camera=job.camera,
            frames=len(images),
            learnt_of=learnt_of,
        )

    def make_carried(self, wanted: Carry, done: Carried, stop: threading.Event) -> None:
        """Run the model over the kept frames of the old reference, paced; `done` gets the one that comes of it."""
        camera, span = wanted.subject.camera, span_of(wanted.base)
        images = self._frames.read(camera, self._frames.names(camera, span, MOST_FRAMES))
        seen = [(image, self._idle.detect(stop, camera, image, wanted.scope)) for image in images]
        made = carried(
            wanted, [(image, found) for image, found in seen if found is not None], clock.unix_now()
        )
        if made is not None and not stop.is_set():
            done(made)

    def _names(self, camera: str, span: NormalSpan, most: int = MOST_LEARNT_OF) -> list[str]:
        names = self._frames.names(camera, span, most)
        if len(names) >= LEAST_FRAMES:
            return names
        later = NormalSpan(span.start, inf)  # they were kept while nothing was recorded
        return self._frames.names(camera, later, most)

    def _name(self, names: Sequence[str]) -> str:
        """The mark of the areas that are hidden in these frames, then a digest of which they are and of the model."""
        digest = hashlib.sha256(" ".join([self._idle.name, *names]).encode()).hexdigest()[:16]
        return f"{mark_in(names[-1])}-{digest}"

    def _known(self, camera: str) -> Signatures | None:
        try:
            text = self._store.read(camera, SIGNATURES)
            return None if text is None else from_text(text)
        except ReferenceMismatch:
            return None

    def _of_another_model(self, known: Signatures) -> bool:
        """Whether what causes do to the model was learnt of another one than that which runs now."""
        return known.trials is not None and self._idle.name not in ("", known.trials.model)

    def _learn(
        self, images: Sequence[NDArray[np.uint8]], name: str, stop: threading.Event
    ) -> Signatures | None:
        """The signatures; None where it was stopped."""
        learner = self._idle.do(stop, Learner, images, name)
        for step in STEPS:
            if stop.is_set():
                return None
            self._idle.do(stop, learner.add, step)
        return learner.result()

    def _with_model(self, camera: str, images: Sequence[Image], stop: threading.Event) -> Signatures | None:
        """The signatures with what causes do to the model; None where it was stopped, or they have that."""
        known = self._known(camera)
        if known is None or (known.found and not self._of_another_model(known)):
            return None
        frames = [(image, self._idle.see(stop, camera, image)) for image in images]
        chosen = _with_most([(image, seen) for image, seen in frames if seen is not None])
        if len(chosen) < LEAST_SEEN or len({seen.plain.model for _, seen in chosen}) > 1:
            return None
        clean, book = [seen for _, seen in chosen], TrialBook([seen for _, seen in chosen])
        shares: dict[CauseStep, float] = {}
        for step in MODEL_STEPS:
            self._serve(stop)
            found = [
                self._idle.see(stop, camera, image)
                for image in self._idle.do(stop, changed, [image for image, _ in chosen], step)
            ]
            whole = [each for each in found if each is not None and each.plain.model == clean[0].plain.model]
            if stop.is_set() or len(whole) < len(found):
                return None
            book.add(step.cause, whole)
            shares[step] = found_share([each.plain for each in clean], [each.plain for each in whole])
        return replace(known, found=found_by_cause(shares), trials=book.result())


def _with_most(frames: Sequence[tuple[Image, Seen]]) -> list[tuple[Image, Seen]]:
    """The frames on which the model finds most, MOST_SEEN of them, in their order: the others tell little."""
    boxes = [-len(seen.plain) for _, seen in frames]
    return [frames[place] for place in sorted(np.argsort(boxes, kind="stable")[:MOST_SEEN])]


def found_share(clean: Sequence[Detections], seen: Sequence[Detections]) -> float:
    """The share of the detections on clean frames that are found again, by class and overlap; NaN without any."""
    found = total = 0
    for before, after in zip(clean, seen, strict=True):
        alike = before.class_ids[:, None] == after.class_ids[None, :]
        total += len(before)
        if len(after):
            found += int(((overlap(before.boxes, after.boxes) >= FOUND_IOU) & alike).any(axis=1).sum())
    return found / total if total else float("nan")
