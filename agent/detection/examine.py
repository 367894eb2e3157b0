"""Examine a model on the trial image: how it takes pixels, and whether its boxes and classes are what they seem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import structlog
from numpy.typing import NDArray

from agent.core.errors import ModelError
from agent.detection.layouts.layout import Candidates, ModelFacts
from agent.detection.nms import suppress
from agent.detection.placement import OVERLAP, best_boxes, found_again, overlaps
from agent.detection.plausibility import exchanged
from agent.detection.preprocess import OF_BYTES
from agent.detection.reading import Reading

log = structlog.get_logger("vedette.detection")

SURE = 0.5
"""A score from which on a wrong class is no slip."""

MOST = 0.5
"""The share of what boxes hold that has to be found again: see `placement`."""

FEW = 20
"""Different things on the trial image at most: right models find 2 to 19."""

REPEATED = 0.3
"""The share of boxes that are there twice, above which a list is not suppressed: of such models it is 0 to 0.05."""

_SAME = 0.8  # IoU of boxes that are one and the same
_MOST_LISTED = 300


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Examined:
    """What was learnt: how to read the model, what it found on the trial image, whether these boxes lie on objects, and
    what speaks against its classes ("" where nothing does)."""

    reading: Reading
    found: Candidates
    placed: bool
    misnamed: str


def examine(
    reading: Reading, output: NDArray[np.float32], facts: ModelFacts, names: Sequence[str], *, free: bool
) -> Examined:
    """Look at what the model gave on the trial image, `output`; `free`: the scale of its pixels is not set.

    Raises ModelError for a model that must be read in another way than any that is known, InferenceError.
    """
    found = reading.decoded(output)
    placed = _again(reading, found) > MOST
    if not len(found) and free and (other := _of_bytes(reading, facts)):
        reading, found, placed = *other, True
        log.info(
            "model takes pixels of 0 to 255: with 0 to 1 it finds nothing", model=reading.runner.path.name
        )
    if reading.layout.suppressed:
        if exchanged(reading.decoded(reading.output(reading.trial.lower_left())), reading.trial.size):
            raise ModelError(
                "finds objects where the image is not: x and y of its boxes are exchanged; "
                "export it anew with `vedette model prepare`"
            )
        if _repeats(found):
            log.warning(
                "model lists objects several times, applying non-maximum suppression",
                model=reading.runner.path.name,
                advice="a model made by `vedette model prepare` is faster",
            )
            reading = replace(reading, layout=replace(reading.layout, suppressed=False))
    return Examined(reading=reading, found=found, placed=placed, misnamed=_misnamed(reading, found, names))


def _again(reading: Reading, found: Candidates) -> float:
    unsure = replace(reading, confidence=reading.confidence / 2)  # less of an object is seen
    return found_again(reading.trial.canvas(), found, unsure.look)


def _of_bytes(reading: Reading, facts: ModelFacts) -> tuple[Reading, Candidates] | None:
    """The model run with pixels of 0 to 255, and what it finds then; None where these are no objects.

    A model for 0 to 1 that takes those finds nonsense in all places: 28 to 100 boxes of different things.
    """
    if (kind := OF_BYTES.get(reading.trial.input_type)) is None:
        return None
    other = replace(reading, trial=replace(reading.trial, input_type=kind))
    output = other.output(other.trial.batch())
    if other.layout.doubt(output, facts):
        return None
    found = other.decoded(output)
    few = len(best_boxes(found, FEW + 1)) <= FEW
    return (other, found) if few and _again(other, found) >= MOST else None


def _repeats(found: Candidates) -> bool:
    """Whether many boxes of a list are there twice."""
    kept = suppress(found.boxes, found.scores, found.class_ids, iou=_SAME, limit=_MOST_LISTED)
    listed = min(len(found), _MOST_LISTED)
    return listed > 1 and listed - len(kept) > REPEATED * listed


def _misnamed(reading: Reading, found: Candidates, names: Sequence[str]) -> str:
    """What shows that its class numbers do not fit its names; raises ModelError where they count from 1."""
    said = {
        what: number for what, box in reading.trial.known() if (number := _class_at(found, box)) is not None
    }
    lower = [name.strip().lower() for name in names]
    if not names:
        if said.get("person") == 1 and said.get("cat") in (16, 17):  # of COCO's 80 and 91 classes
            raise ModelError(
                "numbers its classes from 1, as its 1 for a person and its "
                f"{said['cat']} for a cat show; set model.names, with a name for class 0 in front"
            )
        return ""
    wrong = {
        what: number - lower.index(what)
        for what, number in said.items()
        if what in lower and number != lower.index(what)
    }
    if set(wrong) >= {"person", "cat"} and set(wrong.values()) == {1}:
        raise ModelError(
            f"numbers its classes from 1, but has names from 0: it takes a person for {_name(names, said['person'])} "
            f"and a cat for {_name(names, said['cat'])}; set model.names, with a name for class 0 in front"
        )
    if wrong.get("person") == 1 and "cat" not in said:
        return (
            f"it takes the person of the trial image for {_name(names, said['person'])}, the class after it: its class "
            "numbers may not fit its names; set model.names"
        )
    return ""


def _class_at(found: Candidates, box: NDArray[np.float32]) -> int | None:
    """The class of the best box at that place, None where no sure one is."""
    at = np.flatnonzero((overlaps(found.boxes, box) > OVERLAP) & (found.scores >= SURE))
    return int(found.class_ids[at[found.scores[at].argmax()]]) if len(at) else None


def _name(names: Sequence[str], number: int) -> str:
    return repr(names[number]) if 0 <= number < len(names) else f"class {number}"
