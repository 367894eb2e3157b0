"""A camera's published sketches: windows merged over an hour or so, then published as one. Pure but for `publish`.

A report ends at a full hour (any multiple of its time, UTC), as the contexts of a reference do. One that would cover
less than half of its time goes on to the next.
"""

from __future__ import annotations

from collections.abc import Callable

from agent.core.windows import follows
from agent.drift.sketch import WIRE_ITEMS, WindowSketch, merge

WINDOW_ITEMS = 24
"""Values kept of a single window: 26 features stay under 6 kB."""


class SketchReport:
    """Gathers one camera's windows over `seconds` (0: each is published by itself; None: none is).

    `publish` takes a window and how many values its sketches should keep: `items` where windows were merged.
    """

    def __init__(
        self,
        seconds: float | None,
        publish: Callable[[WindowSketch, int], None],
        items: int = WIRE_ITEMS,
    ) -> None:
        self._seconds, self._publish = seconds, publish
        self._items = items if seconds else WINDOW_ITEMS
        self._gathered: WindowSketch | None = None

    def add(self, window: WindowSketch) -> None:
        """A window has closed; one without frames only moves time on."""
        if self._seconds is None:
            return
        if self._gathered and not follows(self._gathered.end, window.start, self._seconds):
            self.flush()
        if window.frames:
            self._gathered = merge(self._gathered, window) if self._gathered else window
        if self._gathered and self._is_due(self._gathered, window.end, self._seconds):
            self.flush()

    def flush(self) -> None:
        """Publish what is gathered: no window follows."""
        gathered, self._gathered = self._gathered, None
        if gathered is not None:
            self._publish(gathered, self._items)

    @staticmethod
    def _is_due(gathered: WindowSketch, now: float, seconds: float) -> bool:
        """Whether a boundary has passed since enough was gathered."""
        return not seconds or now // seconds > (gathered.start + seconds / 2) // seconds
