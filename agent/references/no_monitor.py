"""The monitor of a camera where drift is switched off."""

from __future__ import annotations

from agent.core.types import FrameResult
from agent.pipeline.camera_window import CameraSummary
from agent.references.monitor import Judged


class NoMonitor:
    """The monitor where drift is switched off: nothing is measured."""

    def add_frame(self, _result: FrameResult) -> None:
        """Ignore the frame."""

    def close(self, _summary: CameraSummary, _now: float) -> Judged:
        """No fields, no observations."""
        return {}, []

    def skip(self, _summary: CameraSummary) -> dict[str, object]:
        """No fields."""
        return {}

    def save(self, _now: float) -> None:
        """Nothing to save."""
