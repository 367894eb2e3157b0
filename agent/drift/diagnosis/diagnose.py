"""The diagnosis of a drift: the most likely cause, or why there is none, in this order. Pure.

    no signatures, or too few frames        unknown, because ...
    the image changed, the view is unlike and nothing hides it                     another scene
    the image changed, a cause explains it  that cause (a fault of the camera, or its light), and another one with it
                                            where both explain clearly more
    the image changed                       none of the known causes
    the image is quiet, the boxes' places, their classes or the embedding moved    another population
    the image is quiet, only the model's scores moved                              the model; where the golden check
                                                                                   agrees, another population

A model that gives on fixed images what it gave before is the same one: then what it gives here is by what it is shown.
So a fault of the camera comes before the scene, the scene before what is in it, and that before the model.

The image is that of the last window, for the looks are of it: what the judge compares goes back further where a change
is small, and is partly of before where one has just begun.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.drift.diagnosis import CAUSES
from agent.drift.diagnosis.match import (
    IMAGE_FEATURES,
    LEAST,
    NONE,
    PAIR,
    QUIET,
    QUIET_NONE,
    SCENE_NONE,
    UNFIT,
    UNLIKE,
    Match,
    match,
    shift_of,
)
from agent.drift.diagnosis.portrait import FrameLook, PortraitComparison, Size, portrait
from agent.drift.diagnosis.signatures import Signatures
from agent.drift.verdict import DriftVerdict

LEAST_LOOKS = 3
"""Frames that a portrait of now rests on at least."""

UNKNOWN, NO_CAUSE, SCENE, POPULATION, MODEL = "unknown", "none", "other_scene", "population", "model"
OTHER_WORDS = {
    UNKNOWN: "an unknown cause",
    NO_CAUSE: "none of the known causes",
    SCENE: "another scene: the view is not the reference's",
    POPULATION: "other objects than in the reference, at the same image quality",
    MODEL: "the model's scores, while image and objects are unchanged",
}
OTHER_ADVICE = {
    UNKNOWN: "compare a snapshot with the reference",
    NO_CAUSE: "compare a snapshot with the reference; where it is fine as it is, accept it",
    SCENE: "point the camera back, or record a new reference of the new view",
    POPULATION: "collect and label such frames and retrain, or accept the new normal",
    MODEL: "see whether the model, its runtime or the driver changed: `vedette model golden`",
}
BY_ABSENCE = frozenset({NO_CAUSE, SCENE, POPULATION, MODEL})
"""What is concluded because no known cause fits."""

AGREES, DIFFERS = "agrees", "differs"
"""States of a golden check: whether its last run gave what the model gave when it was taken in use."""

NOT_LEARNT = "what known causes do to this camera has not been learnt yet"

_SCORES = {"confidence_mean", "confidence_min", "near_threshold", "suppressed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """`cause` is one of CAUSES or of OTHER_WORDS, with its `confidence` and `severity` (0..1), and the number of its
    `variant` that fits; `second` the next best; `also` is a cause that is there besides.

    `reason` says why the cause is unknown; `found_ratio` is the share of the detections that the model still finds in
    frames of the reference with this cause applied, None where that is not known.
    """

    cause: str
    confidence: float = 0.0
    severity: float | None = None
    variant: int = 0
    second: str = ""
    also: str = ""
    reason: str = ""
    found_ratio: float | None = None

    @property
    def words(self) -> str:
        """The cause in words, with what is there besides."""
        words = CAUSES[self.cause].words if self.cause in CAUSES else OTHER_WORDS[self.cause]
        return f"{words}, together with {CAUSES[self.also].words}" if self.also else words

    @property
    def advice(self) -> str:
        """What to do; of two causes about both."""
        advice = CAUSES[self.cause].advice if self.cause in CAUSES else OTHER_ADVICE[self.cause]
        return f"{advice}; and {CAUSES[self.also].advice}" if self.also else advice

    @property
    def runbook(self) -> str:
        """The page to read."""
        return CAUSES[self.cause].runbook if self.cause in CAUSES else "drift"


def diagnose(
    verdict: DriftVerdict,
    signatures: Signatures | None,
    looks: Sequence[FrameLook],
    recent: NDArray[np.float64],
    *,
    golden: str = "",
) -> Diagnosis:
    """The diagnosis of a judged verdict from `looks` at the frames of now, and the medians `recent` (10,) of their
    IMAGE_FEATURES, NaN where unknown. `golden` is the state of the golden check."""
    if signatures is None:
        return Diagnosis(cause=UNKNOWN, reason=NOT_LEARNT)
    if len(looks) < LEAST_LOOKS:
        return Diagnosis(
            cause=UNKNOWN, reason=f"{len(looks)} frames were looked at, {LEAST_LOOKS} are needed"
        )
    try:
        seen = portrait(looks)
    except ValueError:
        return Diagnosis(cause=UNKNOWN, reason="frames came in several sizes")
    if not signatures.portrait.comparable(seen.size):
        return Diagnosis(cause=UNKNOWN, reason=_other_size(seen.size, signatures.portrait.size))
    traits = PortraitComparison(signatures.portrait)(seen)
    each = [verdict.feature(name) for name in IMAGE_FEATURES]
    now = np.where(np.isfinite(recent), recent, [one.now[1] for one in each])
    low, then, high = np.array([one.then for one in each]).T
    found = match(shift_of(now, low, then, high, traits=traits), signatures.none, signatures.curves)
    return concluded(verdict, signatures, found, golden)


def _other_size(now: Size, then: Size) -> str:
    sizes = " and ".join(f"{width} x {height}" for width, height in (now, then))
    return (
        f"frames have another size or shape than those of the reference ({sizes} pixels, shrunk): "
        "set the camera back, or record a new reference"
    )


def concluded(verdict: DriftVerdict, signatures: Signatures, found: Match, golden: str = "") -> Diagnosis:
    """What `found`, the match of an alarm's shift with the signatures, says of `verdict`; `golden`: of its check."""
    best, second = found.candidates[:2]
    over = any(verdict.feature(name).over for name in IMAGE_FEATURES)
    quiet = not over and found.size < QUIET
    if found.size < LEAST or (quiet and best.unexplained > QUIET_NONE):
        return _of_content(verdict, golden)
    if _another_scene(found):
        return Diagnosis(cause=SCENE, confidence=1.0 - max(0.0, found.fit), second=best.cause)
    if best.unexplained > NONE:
        return Diagnosis(cause=NO_CAUSE, confidence=min(1.0, best.unexplained), second=best.cause)
    return Diagnosis(
        cause=best.cause,
        confidence=best.confidence * (1.0 - max(0.0, best.unexplained - NONE / 2)),
        severity=best.severity,
        variant=best.variant,
        second=second.cause,
        also=found.also if found.together < PAIR * best.unexplained else "",
        found_ratio=signatures.found_at(best.cause, best.severity, best.variant),
    )


def _another_scene(found: Match) -> bool:
    """Whether the view is another one, and no fault hides it."""
    best = found.candidates[0]
    unlike = found.likeness < UNLIKE and found.fit < UNFIT
    return unlike and (best.cause == "moved" or best.unexplained > SCENE_NONE)


def _of_content(verdict: DriftVerdict, golden: str) -> Diagnosis:
    """Of a drift in an image that is as it was: by what is over its limit."""
    over = {each.feature for each in verdict.features if each.over} - set(IMAGE_FEATURES)
    classes = verdict.classes is not None and verdict.classes.ratio >= 1.0
    same = golden == AGREES
    if over - _SCORES or classes or (over and same):
        return Diagnosis(
            cause=POPULATION, confidence=0.5, second=MODEL if over & _SCORES and not same else ""
        )
    if over:
        return Diagnosis(cause=MODEL, confidence=0.5, second=POPULATION)
    return Diagnosis(cause=UNKNOWN, reason="no single number stands out enough")
