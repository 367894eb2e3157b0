"""A box whose score is hardly enough: the model is least sure of it."""

from __future__ import annotations

from agent.maintenance.samples.view import SampleView

_NEAR = 0.15


def interest(view: SampleView) -> float:
    """1 for a score at the threshold, 0 from `_NEAR` above it; the nearest box counts."""
    found = view.detections
    if not len(found):
        return 0.0
    above = float(found.scores.min()) - found.threshold
    return max(0.0, 1.0 - above / _NEAR)
