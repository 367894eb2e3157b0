"""How often what is published, as `[reports]` says: a profile, or its intervals one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.config.schema import Settings

_MINUTE, _HOUR = 60.0, 3600.0
_SKETCH_ITEMS, _LEAN_SKETCH_ITEMS = 32, 24
"""Values that a published sketch of an hour keeps: ranks within 3 and 6 %; 24 take two thirds of the bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Intervals:
    """Seconds that a summary and a sketch cover, and between complete messages; 0: each window, all."""

    summary: float
    sketch: float
    complete: float


_PROFILES: Mapping[str, _Intervals] = {
    "full": _Intervals(summary=0.0, sketch=0.0, complete=0.0),
    "normal": _Intervals(summary=0.0, sketch=_HOUR, complete=15 * _MINUTE),
    "lean": _Intervals(summary=10 * _MINUTE, sketch=_HOUR, complete=_HOUR),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPlan:
    """How windows become messages.

    A summary covers `windows` windows of `window_seconds`; one of `complete_every` summaries holds every field (1:
    all do). Sketches cover `sketch_seconds` (0: a window; None: none are published) and keep `sketch_items` values.
    """

    profile: str = "full"
    window_seconds: float = _MINUTE
    windows: int = 1
    complete_every: int = 1
    sketch_seconds: float | None = 0.0
    sketch_items: int = _SKETCH_ITEMS

    @classmethod
    def of(cls, settings: Settings) -> ReportPlan:
        """The plan as configured."""
        reports, length = settings.reports, settings.windows.length
        usual = _PROFILES[reports.profile]
        windows = max(1, round((reports.summary_interval or usual.summary) / length))
        complete = reports.complete_interval or usual.complete
        return cls(
            profile=reports.profile,
            window_seconds=length,
            windows=windows,
            complete_every=max(1, round(complete / (windows * length))),
            sketch_seconds=(reports.sketch_interval or usual.sketch)
            if settings.drift.publish_sketches
            else None,
            sketch_items=_LEAN_SKETCH_ITEMS if reports.profile == "lean" else _SKETCH_ITEMS,
        )

    @property
    def summary_seconds(self) -> float:
        """The time that a summary covers."""
        return self.windows * self.window_seconds

    def facts(self) -> dict[str, str | float]:
        """The plan as fields of `info`."""
        sketch = self.sketch_seconds
        return {
            "profile": self.profile,
            "summary_seconds": self.summary_seconds,
            "sketch_seconds": 0.0 if sketch is None else max(sketch, self.window_seconds),
            "complete_seconds": 0.0
            if self.complete_every == 1
            else self.complete_every * self.summary_seconds,
        }
