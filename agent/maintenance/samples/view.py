"""The input of a reason: one frame's detections, those of the frames around it, and the camera's state."""

from __future__ import annotations

from dataclasses import dataclass

from agent.core.types import Detections


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SampleView:
    """`before` and `after` are the neighbouring frames' detections, None where there is none within a second.

    `moved` is the share of the picture that changed since the frame before, `novelty` the distance of the embedding
    from the usual ones over what a thousandth of them exceeds (NaN: not known), `drifting` whether a drift alarm is
    on, `disagreement` the share of boxes in which two models differ that were both run on it (0: one was).
    """

    detections: Detections
    before: Detections | None
    after: Detections | None
    moved: float
    novelty: float
    drifting: bool
    disagreement: float = 0.0
