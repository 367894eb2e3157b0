"""A share of the time that work may take, over the long run: short work at once, a storm of it spread out."""

from __future__ import annotations


class TimeBudget:
    """Earns `share` seconds a second, up to `most_seconds`, and is spent by the work that was done.

    One piece of work may overdraw it; the next one then waits until that is earned.
    """

    def __init__(self, share: float, most_seconds: float) -> None:
        self._share, self._most = share, most_seconds
        self._left, self._at = most_seconds, 0.0

    def allows(self, now: float) -> bool:
        """Whether work may begin at `now` (seconds of a steady clock)."""
        return self._earned(now) > 0

    def spend(self, seconds: float, now: float) -> None:
        """Work that took `seconds` ended at `now`."""
        self._left, self._at = self._earned(now) - seconds, now

    def _earned(self, now: float) -> float:
        return min(self._most, self._left + self._share * max(0.0, now - self._at))
