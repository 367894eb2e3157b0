"""A frame unlike those before it, by its embedding."""

from __future__ import annotations

from agent.maintenance.samples.view import SampleView


def interest(view: SampleView) -> float:
    """0 up to what a thousandth of the usual frames exceeds, 1 from twice that; 0 where it is not known."""
    return min(1.0, view.novelty - 1.0) if view.novelty > 1.0 else 0.0
