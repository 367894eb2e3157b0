"""Whether the accuracy that is estimated without labels speaks against the model in its probation.

It does where two estimates in a row of a camera are below what the config asks for even at the high end of their bands,
and the model before was not estimated as low there: fog that blinds every model is no fault of the new one. An estimate
without trust says nothing.
"""

from __future__ import annotations

import threading

from agent.core.errors import ModelError
from agent.drift.advice import SOME_TRUST
from agent.drift.diagnosis.accuracy import Estimate

IN_A_ROW = 2
"""Estimates that must be low, one after the other: each rests on a few frames."""


class Estimates:
    """The last estimates of each camera that have some trust, by model. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: dict[str, list[Estimate]] = {}
        self._before: dict[str, Estimate] = {}

    def add(self, camera: str, estimate: Estimate) -> None:
        """What was estimated of a camera."""
        if estimate.trust < SOME_TRUST:
            return
        with self._lock:
            known = self._of.get(camera, [])
            if known and known[-1].model != estimate.model:
                self._before[camera], known = known[-1], []
            self._of[camera] = [*known, estimate][-IN_A_ROW:]

    def of(self, model: str) -> dict[str, list[Estimate]]:
        """The last IN_A_ROW of each camera that are of this model."""
        with self._lock:
            return {camera: found for camera, found in self._of.items() if found and found[-1].model == model}

    def before(self, camera: str) -> Estimate | None:
        """The last of the model before, where there is one."""
        with self._lock:
            return self._before.get(camera)


def check_estimates(estimates: Estimates, model: str, least: float) -> None:
    """Raise ModelError where `model` (its SHA-256) is estimated to find less than `least` (F1) on a camera."""
    for camera, found in sorted(estimates.of(model).items()):
        before = estimates.before(camera)
        if before is not None and before.high < least:
            continue
        if len(found) >= IN_A_ROW and all(each.high < least for each in found):
            last = found[-1]
            raise ModelError(
                f"on camera {camera} its accuracy is estimated at {last.ratio:.0%} without labels, at most "
                f"{last.high:.0%}; [deploy] least_accuracy_estimate asks for {least:.0%}"
            )


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
