"""Something moves, and nothing is found."""

from __future__ import annotations

from agent.maintenance.samples.view import SampleView

_LEAST, _MOST = 0.005, 0.3  # less is noise; more is the camera itself, or the light


def interest(view: SampleView) -> float:
    """1 where a tenth of the picture changed or more, 0 where hardly any or nearly all of it did."""
    if len(view.detections) or not _LEAST <= view.moved <= _MOST:
        return 0.0
    return min(1.0, view.moved / 0.1)
