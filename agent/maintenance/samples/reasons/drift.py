"""A frame of a camera that drifts: what is new is what has to be learnt."""

from __future__ import annotations

from agent.maintenance.samples.view import SampleView


def interest(view: SampleView) -> float:
    """1 while a drift alarm is on: which of these frames is taken is left to chance and to how different they are."""
    return float(view.drifting)
