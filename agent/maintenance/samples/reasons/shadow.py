"""Two models disagree on a frame while one is tried beside the other: one of them is wrong."""

from __future__ import annotations

from agent.maintenance.samples.view import SampleView


def interest(view: SampleView) -> float:
    """1 where they have no box in common, 0 where they agree, or only one model was run."""
    return view.disagreement
