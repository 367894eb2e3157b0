"""A reference for another model: what is known of the frames stays, what the model says of them is new. Pure.

The numbers of the image and of motion do not depend on the model: their distributions go on by hour of the day. Those
of boxes, confidence and embedding come from a few frames of the old reference that the new model was run on, the same
at every hour. Limits are assumed, as for a reference made of images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from agent.core.kll import Sketch
from agent.drift.calibrate import assumed
from agent.drift.evidence import UsualWindow
from agent.drift.recording import KEPT_ITEMS
from agent.drift.reference import KEPT_FRAMES, HourNormal, Reference
from agent.features import OF_THE_MODEL


def carry(
    base: Reference,
    vectors: NDArray[np.float32],
    class_counts: Mapping[int, int],
    *,
    model_sha256: str,
    now: float,
) -> Reference:
    """`base` for the model `model_sha256`, whose features of N frames of the old normal are `vectors` (N, F).

    `class_counts` are its boxes by class in them; `now` is Unix time. The result is provisional.
    """
    features = base.origin.features
    ours = np.array([name in OF_THE_MODEL for name in features])
    new = {number: _sketch(vectors[:, number]) for number in np.flatnonzero(ours).tolist()}
    class_ids = tuple(sorted(class_counts))
    classes = np.array([class_counts[number] for number in class_ids], dtype=np.float64)

    def of_hour(old: HourNormal) -> HourNormal:
        return HourNormal(
            sketches=tuple(new.get(number, sketch) for number, sketch in enumerate(old.sketches)),
            log_steps=np.where(ours, np.nan, old.log_steps),
            classes=classes,
        )

    frames = base.usual.frames
    known = np.isfinite(vectors).mean(axis=0)
    return replace(
        base,
        origin=replace(
            base.origin, model_sha256=model_sha256, made_how=KEPT_FRAMES, made_at=now, covered=0.0
        ),
        hours={hour: of_hour(old) for hour, old in base.hours.items()},
        class_ids=class_ids,
        usual=UsualWindow(
            counts=np.where(ours, frames * known, base.usual.counts),
            frames=frames,
            steps=np.where(ours, 0.0, base.usual.steps),
        ),
        usual_boxes=frames * sum(class_counts.values()) / len(vectors),
        calibration=assumed(np.empty((0, 3, len(features)))),
    )


def _sketch(values: NDArray[np.float32]) -> Sketch:
    sketch = Sketch()
    sketch.update(values)
    return sketch.compact(4 * KEPT_ITEMS)
