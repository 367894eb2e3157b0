"""Estimates the model's accuracy on current frames of each camera whose trials were learnt, in idle time.

The signals of the last calm frames are kept for each camera: by them those of a drift are measured. It was learnt of
what known causes do to the picture: of a drift that none of them explains, as where other objects are in view, nothing
is told, nor where the cause that is named leaves the model another share of its detections than the estimate says.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from agent.core.types import Image
from agent.drift.diagnosis.accuracy import AccuracyModel, Estimate, Trials, untold
from agent.references.idle_model import IdleModel
from agent.references.model_signals import Seen, UsualBoxes, signals_of

CALM_KEPT = 6
"""Calm looks at a camera whose mean is the base: those of about an hour."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Glance:
    """Some `images` of now of a camera, whether nothing drifts there, and whether a known cause explains what does.

    `found` is the share of the detections that the model still finds by that cause, None where that is not known.
    """

    camera: str
    images: Sequence[Image]
    calm: bool
    explained: bool = True
    found: float | None = None


class AccuracyEstimator:
    """Belongs to the thread of `idle`, but for `ask` and `learnt`; `done` gets each estimate."""

    def __init__(self, idle: IdleModel, done: Callable[[str, Estimate], None]) -> None:
        self._idle, self._done = idle, done
        self._waiting: dict[str, Glance] = {}
        self._lock = threading.Lock()
        self._models: dict[str, AccuracyModel] = {}
        self._calm: dict[str, deque[list[Seen]]] = {}

    def ask(self, glance: Glance) -> None:
        """Estimate by these frames, instead of older ones of the camera that still wait. From any thread."""
        with self._lock:
            self._waiting[glance.camera] = glance

    def learnt(self, camera: str, trials: Trials | None) -> None:
        """Estimate by these trials from now on; not at all where there are none, or too few.

        From any thread.
        """
        fitted = AccuracyModel(trials) if trials is not None and trials.enough else None
        with self._lock:
            self._calm.pop(camera, None)
            if fitted is None:
                self._models.pop(camera, None)
            else:
                self._models[camera] = fitted

    def serve(self, stop: threading.Event) -> None:
        """Make the estimates that wait."""
        while not stop.is_set():
            with self._lock:
                if not self._waiting:
                    return
                glance = self._waiting.pop(next(iter(self._waiting)))
            self._serve(glance, stop)

    def _serve(self, glance: Glance, stop: threading.Event) -> None:
        camera = glance.camera
        with self._lock:
            model, before = self._models.get(camera), self._calm.setdefault(camera, deque(maxlen=CALM_KEPT))
        if model is None or model.trials.model != self._idle.name:
            return
        if not (glance.calm or glance.explained):
            self._done(camera, untold(model.trials.model))
            return
        seen = [self._idle.see(stop, camera, image) for image in glance.images]
        frames = [each for each in seen if each is not None and each.plain.model == model.trials.model]
        if stop.is_set() or len(frames) < len(glance.images):
            return
        estimate = estimated(model, frames, before)
        if not (glance.calm or agrees(estimate, glance.found)):
            estimate = untold(estimate.model)
        if glance.calm:
            before.append(frames)
        self._done(camera, estimate)


def estimated(model: AccuracyModel, frames: Sequence[Seen], calm: Collection[Sequence[Seen]]) -> Estimate:
    """The estimate at `frames`, measured from looks when all was `calm`, or from what was learnt on without any."""
    trials = model.trials
    usual = UsualBoxes(boxes=trials.boxes / trials.frames, classes=trials.classes)
    if not calm:
        return model.estimate(signals_of(frames, usual), None, usual.boxes * len(frames))
    usual = usual.with_more(each for look in calm for each in look)
    base = np.mean([signals_of(look, usual) for look in calm], axis=0)
    boxes = np.mean([sum(len(each.plain) for each in look) for look in calm])
    return model.estimate(signals_of(frames, usual), base, float(boxes))


def agrees(estimate: Estimate, found: float | None) -> bool:
    """Whether an estimate is, within twice its band, the F1 of a model that finds the share `found`, and no more."""
    if found is None:
        return True
    half = (estimate.high - estimate.low) / 2
    return estimate.low - half <= 2 * found / (1 + found) <= estimate.high + half
