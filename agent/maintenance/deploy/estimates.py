"""Decides whether accuracy estimates without labels fail a model in its probation.

It does where two estimates in a row of a camera are below what the config asks for even at the high end of their bands,
and the model before, which is run beside it, finds more on the same frames: fog that blinds both is no fault of the
new one, and where the new one finds objects that the one before does not, going back mends nothing. Where the model
before cannot be opened the estimates speak alone. An estimate without trust says nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from agent.core.errors import ModelError
from agent.detection.matching import BoxMatches
from agent.drift.advice import SOME_TRUST
from agent.drift.diagnosis.accuracy import Estimate

IN_A_ROW = 2
"""Estimates that must be low, one after the other: each rests on a few frames."""


class Estimates:
    """The last estimates of each camera that have some trust, by model. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: dict[str, list[Estimate]] = {}

    def add(self, camera: str, estimate: Estimate) -> None:
        """What was estimated of a camera."""
        if estimate.trust < SOME_TRUST:
            return
        with self._lock:
            known = self._of.get(camera, [])
            if known and known[-1].model != estimate.model:
                known = []
            self._of[camera] = [*known, estimate][-IN_A_ROW:]

    def of(self, model: str) -> dict[str, list[Estimate]]:
        """The last IN_A_ROW of each camera that are of this model."""
        with self._lock:
            return {camera: found for camera, found in self._of.items() if found and found[-1].model == model}


def check_estimates(
    estimates: Estimates, model: str, least: float, beside: Callable[[str], BoxMatches] | None
) -> None:
    """Raise ModelError where `model` (its SHA-256) is estimated to find less than `least` (F1) on a camera.

    `beside` gives what it (first) and the model before (second) found on the same frames of a camera; None: the model
    before is not run.
    """
    for camera, found in sorted(estimates.of(model).items()):
        if len(found) < IN_A_ROW or any(each.high >= least for each in found):
            continue
        compared = beside(camera) if beside is not None else None
        if compared is not None and not _better_before(compared, least):
            continue
        last = found[-1]
        reason = (
            f"on camera {camera} its accuracy is estimated at {last.ratio:.0%} without labels, at most "
            f"{last.high:.0%}; [deploy] least_accuracy_estimate asks for {least:.0%}"
        )
        if compared is not None:
            reason += f"; the model before finds {compared.second} boxes there, it finds {compared.first}"
        raise ModelError(reason)


def _better_before(found: BoxMatches, least: float) -> bool:
    """Whether the model before finds so much more that the new one by it has less than `least` (F1), too."""
    f1 = found.f1(1)
    return f1 is not None and f1 < least and found.second > found.first


def numbers_of(estimates: Estimates, model: str) -> dict[str, float]:
    """The estimate of the camera on which `model` is estimated lowest; nothing where there is none."""
    found = [each[-1] for each in estimates.of(model).values()]
    if not found:
        return {}
    lowest = min(found, key=lambda each: each.ratio)
    return {
        "accuracy_estimate_ratio": round(lowest.ratio, 3),
        "accuracy_estimate_high_ratio": round(lowest.high, 3),
    }
