"""Lulls: for how long a change stayed away and came back, so that the next time it seems gone is no end yet.

    there ── less than half of it is left ──▶ in a lull ── it is back ──▶ there (the longest is noted)
    in a lull ── TIMES as long as the longest before ──▶ outlasted: what is gone now may be over

Objects that are new come and go: for minutes there are none in view, and by the noise of the reference they are gone.
A change in what people do comes and goes with the hours: where fewer come, nights are as ever. What was there for
hours, was over, and is back within a day is one change, of which the end was a lull as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.core.untrusted import take_integer

TIMES = 2
"""So many times the longest lull before."""

MOST = 256
"""Windows that an end waits for a lull at most: an alarm that has none to tell of must not last for it."""

PASSING_SECONDS = 6 * 3600.0
"""What is over sooner is a passing event, and does not come and go with the hours."""

DAY_SECONDS = 86_400.0
WEEK_DAYS = 7
"""What was seen to come and go with the hours may pause for days of another kind."""


@dataclass(slots=True)
class Lulls:
    """The state, in windows: the `longest` lull that was followed by the change, the one under way, `now`, and the
    `day` that an end waits for at most where what seemed to end had been there for hours, or 0."""

    longest: int = 0
    now: int = 0
    day: int = 0

    def step(self, *, low: bool) -> None:
        """One more window; whether less than half of the change seems to be left."""
        if low:
            self.now += 1
        else:
            self.back()

    def back(self) -> None:
        """The change is there: what came before was a lull, also if it was taken for an end."""
        self.longest, self.now = max(self.longest, self.now), 0

    def ended(self, lasted: float, window_seconds: float) -> None:
        """The alarm is over, after it `lasted` seconds."""
        self.day = round(DAY_SECONDS / window_seconds) if lasted > PASSING_SECONDS else 0

    def rest(self, windows: int) -> None:
        """So many windows more since it was over."""
        if not self.day:
            return
        self.now += windows
        if self.now > self.day * (WEEK_DAYS if self.longest > MOST else 1):
            self.day = self.now = 0

    @property
    def outlasted(self) -> bool:
        """Whether the one under way is long beside those before."""
        return self.now >= min(TIMES * self.longest, max(self.day, MOST))

    def state(self) -> dict[str, Any]:
        """As JSON values."""
        return {"longest": self.longest, "now": self.now, "day": self.day}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Lulls:
        """What `state` gave; BadInput for anything else."""
        return cls(
            take_integer(state, "longest", minimum=0),
            take_integer(state, "now", minimum=0),
            take_integer(state, "day", 0, minimum=0),  # the version before had none
        )
