"""Examine a model on the trial image: how it takes pixels, and whether its boxes and classes are what they seem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from agent.detection.reading import OutputReading

log = structlog.get_logger("vedette.detection")

SURE = 0.5
"""A score from which on a wrong class is no slip."""

MOST, HALF = 0.51, 0.5
"""The share of what boxes hold that has to be found again (see `placement`): more than half, and at least half where
nothing at all is found without."""

FEW = 20
"""Different things on the trial image at most: right models find 2 to 19."""

REPEATED = 0.3
"""The share of boxes that are there twice, above which a list is not suppressed: of such models it is 0 to 0.05."""

AGREES, BESIDE = 0.85, 0.75
"""IoU of a box with the photograph's object of that class, from which on it lies on that, and below which it does not.

Boxes of YOLO11n in sizes of 160 to 640 have 0.93 and more. Of 21 ways to read them wrongly (sizes times 0.5 to 2, of
one side or both, exchanged, square or fixed, shifted by 20 pixels or a third of themselves, another grid) each has
0.82 or less for one of the two objects."""

_NEAR = 0.1  # IoU below which a box is of something else, as those of models that know no photographs

_SAME = 0.8  # IoU of boxes that are one and the same
_MOST_LISTED = 300


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Examined:
    """What was learnt: how to read the model, what it found on the trial image, whether these boxes lie on objects, and
    what shows that it is read wrongly, whatever it finds elsewhere ("" where nothing does)."""

    reading: OutputReading
    found: Candidates
    placed: bool
    refuted: str


def examine(
    reading: OutputReading,
    output: NDArray[np.float32],
    facts: ModelFacts,
    names: Sequence[str],
    *,
    free: bool,
) -> Examined:
    """Look at what the model gave on the trial image, `output`; `free`: the scale of its pixels is not set.

    Raises ModelError for a model that must be read in another way than any that is known, InferenceError.
    """
    found = reading.decoded(output)
    other = None if len(found) or not free else _of_bytes(reading, facts)
    if other is not None:
        reading, found = other
        log.info(
            "model takes pixels of 0 to 255: with 0 to 1 it finds nothing", model=reading.runner.path.name
        )
    known = _known_overlaps(reading, found, names)
    beside = _beside(known)
    placed = other is not None or _all_agree(known) or (not beside and _again(reading, found, MOST))
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
    refuted = _misnamed(reading, found, names) or beside
    return Examined(reading=reading, found=found, placed=placed, refuted=refuted)


def _known_overlaps(reading: OutputReading, found: Candidates, names: Sequence[str]) -> dict[str, float]:
    """For each object of the photographs the IoU of the best box of its class, where that is a box of it at all."""
    numbers = {name.strip().lower(): number for number, name in enumerate(names)}
    overlapping = {}
    for what, box in reading.trial.known():
        of_class = np.flatnonzero(found.class_ids == numbers.get(what, -1))
        if len(of_class):
            best = of_class[found.scores[of_class].argmax()]
            overlapping[what] = float(overlaps(found.boxes[best : best + 1], box)[0])
    return {what: share for what, share in overlapping.items() if share >= _NEAR}


def _all_agree(known: Mapping[str, float]) -> bool:
    """Whether boxes of two objects at two places are right: one may be so by chance."""
    return len(known) > 1 and min(known.values()) >= AGREES


def _beside(known: Mapping[str, float]) -> str:
    """What shows that boxes do not lie on their objects, "" where nothing does.

    Of one class alone it does not show: there are models that take the hidden part of a person in.
    """
    worst = min(known, key=lambda what: known[what], default="")
    if len(known) < 2 or known[worst] >= BESIDE:
        return ""
    return (
        f"its box of the {worst} on the trial image overlaps with that by {known[worst]:.2f}, where {AGREES} is usual: "
        "boxes lie beside their objects, or are of another size"
    )


def _again(reading: OutputReading, found: Candidates, least: float) -> bool:
    unsure = replace(reading, confidence=reading.confidence / 2)  # less of an object is seen
    return found_again(reading.trial.canvas(), found, unsure.look, least)


def _of_bytes(reading: OutputReading, facts: ModelFacts) -> tuple[OutputReading, Candidates] | None:
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
    return (other, found) if few and _again(other, found, HALF) else None


def _repeats(found: Candidates) -> bool:
    """Whether many boxes of a list are there twice."""
    kept = suppress(found.boxes, found.scores, found.class_ids, iou=_SAME, limit=_MOST_LISTED)
    listed = min(len(found), _MOST_LISTED)
    return listed > 1 and listed - len(kept) > REPEATED * listed


def _misnamed(reading: OutputReading, found: Candidates, names: Sequence[str]) -> str:
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
    if set(wrong) >= {"person", "cat"}:
        return (
            f"it takes the person of the trial image for {_name(names, said['person'])} and the cat for "
            f"{_name(names, said['cat'])}: its class numbers do not fit its names; set model.names"
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
