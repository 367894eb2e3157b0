"""An object that is found in the frames before and after, and not in this one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.core.types import Detections
from agent.detection.nms import overlap
from agent.maintenance.samples.view import SampleView

_SAME, _THERE = 0.5, 0.3  # IoU of one object in two frames, and of anything in its place


def interest(view: SampleView) -> float:
    """The best score, in the frame before, of an object that is missing here and there again in the frame after."""
    before, after = view.before, view.after
    if before is None or after is None or not len(before) or not len(after):
        return 0.0
    lasting = _matched(before, after, _SAME)
    missing = lasting & ~_matched(before, view.detections, _THERE)
    return float(before.scores[missing].max()) if missing.any() else 0.0


def _matched(these: Detections, those: Detections, least: float) -> NDArray[np.bool_]:
    """(n,) which of these boxes have one of their class among those."""
    if not len(those):
        return np.zeros(len(these), dtype=bool)
    same_class = these.class_ids[:, None] == those.class_ids[None, :]
    return np.asarray((same_class & (overlap(these.boxes, those.boxes) >= least)).any(axis=1))
