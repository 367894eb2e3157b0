"""A model's results on the golden images with their circumstances, and whether new results agree. Pure.

The best candidates before suppression are kept, whatever their score: so a model is checked that finds no object on
these images, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from agent.core.untrusted import BadInput, take_list, take_number, take_object, take_text
from agent.detection.agreement import COMPARED, HALF, LEAST_SCORE, Tolerance, agree, best
from agent.detection.layouts.layout import Candidates

SAME = Tolerance(iou=0.98, score=0.02)
"""Of the same provider and precision: another driver or release may order its sums differently."""

_KEPT_SCORE = 2 * LEAST_SCORE
"""A candidate that scores less may fall below what is looked at by rounding alone."""

_NAMES = {
    "provider": "provider",
    "precision": "precision",
    "runtime": "runtime",
    "gpu": "GPU or driver",
    "cpu": "processor",
    "agent": "vedette",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What may change a model's results although its file is the same; each in words, "" where it has none."""

    provider: str
    precision: str = ""
    runtime: str = ""
    gpu: str = ""
    cpu: str = ""
    agent: str = ""

    def changes(self, now: Circumstances) -> str:
        """What is different `now`, in words; "" where nothing is."""
        pairs = ((name, getattr(self, name), getattr(now, name)) for name in _NAMES)
        return ", ".join(
            f"{_NAMES[name]} {before or 'none'} -> {after or 'none'}"
            for name, before, after in pairs
            if before != after
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GoldenRecord:
    """Results of one model (`model` names its file, layout and input), made at `made_at` (Unix time)."""

    model: str
    made_at: float
    by: Circumstances
    images: tuple[Candidates, ...]

    @property
    def boxes(self) -> int:
        """How many candidates are kept."""
        return sum(len(image) for image in self.images)


def make_record(model: str, found: Sequence[Candidates], by: Circumstances, made_at: float) -> GoldenRecord:
    """The record of what was found on each image."""
    return GoldenRecord(model=model, made_at=made_at, by=by, images=tuple(_kept(one) for one in found))


def difference(record: GoldenRecord, image: int, found: Candidates, now: Circumstances) -> str:
    """In what the results on one image differ from the record, in words; "" where they agree."""
    alike = (record.by.provider, record.by.precision) == (now.provider, now.precision)
    lost = agree(record.images[image], found, SAME if alike else HALF).lost
    if lost is None:
        return ""
    score, iou, off = lost
    return f"image {image + 1}: a box of score {score:.3f} has its partner at IoU {iou:.2f}, its score {off:.3f} off"


def _kept(found: Candidates) -> Candidates:
    chosen = best(found)
    count = int((chosen.scores >= _KEPT_SCORE).sum())
    return Candidates(
        boxes=chosen.boxes[:count], scores=chosen.scores[:count], class_ids=chosen.class_ids[:count]
    )


# -- as JSON ------------------------------------------------------------------------------------------------


def to_json(record: GoldenRecord) -> dict[str, Any]:
    """The record as JSON values: of each box x1, y1, x2, y2, score, class."""
    return {
        "model": record.model,
        "made_at": record.made_at,
        "by": asdict(record.by),
        "images": [
            [
                [*(round(float(side), 2) for side in box), round(float(score), 5), int(class_id)]
                for box, score, class_id in zip(image.boxes, image.scores, image.class_ids, strict=True)
            ]
            for image in record.images
        ],
    }


def from_json(entry: Mapping[str, Any], images: int) -> GoldenRecord:
    """The record of `images` images that was stored as JSON; raises BadInput if it is none."""
    by = take_object(entry, "by")
    kept = take_list(entry, "images", longest=images)
    if len(kept) != images:
        raise BadInput(f"`images` has {len(kept)} entries; expected {images}")
    return GoldenRecord(
        model=take_text(entry, "model"),
        made_at=take_number(entry, "made_at"),
        by=Circumstances(**{field.name: take_text(by, field.name, "") for field in fields(Circumstances)}),
        images=tuple(_candidates(rows) for rows in kept),
    )


def _candidates(rows: object) -> Candidates:
    if not isinstance(rows, list) or len(rows) > COMPARED:
        raise BadInput(f"an image is not a list of at most {COMPARED} boxes")
    for row in rows:
        numbers = isinstance(row, list) and all(type(value) in (int, float) for value in row)
        if not numbers or len(row) != 6 or not all(abs(value) < 1e9 for value in row):
            raise BadInput("a box is not a list of six numbers")
    table = np.array(rows, dtype=np.float64).reshape(-1, 6)
    return Candidates(
        boxes=table[:, :4].astype(np.float32),
        scores=table[:, 4].astype(np.float32),
        class_ids=table[:, 5].astype(np.int64),
    )
