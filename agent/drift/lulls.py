"""Lulls: for how long a change stayed away and came back, so that the next time it seems gone is no end yet.

    there ── less than half of it is left ──▶ in a lull ── it is back ──▶ there (the longest is noted)
    in a lull ── TIMES as long as the longest before ──▶ outlasted: what is gone now may be over

Objects that are new come and go: for minutes there are none in view, and by the noise of the reference they are gone.
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


@dataclass(slots=True)
class Lulls:
    """The state: the `longest` lull that was followed by the change, and the one under way, `now`, in windows."""

    longest: int = 0
    now: int = 0

    def step(self, *, low: bool) -> None:
        """One more window; whether less than half of the change seems to be left."""
        if low:
            self.now += 1
        else:
            self.back()

    def back(self) -> None:
        """The change is there: what came before was a lull, also if it was taken for an end."""
        self.longest, self.now = max(self.longest, self.now), 0

    @property
    def outlasted(self) -> bool:
        """Whether the one under way is long beside those before."""
        return self.now >= min(TIMES * self.longest, MOST)

    def state(self) -> dict[str, Any]:
        """As JSON values."""
        return {"longest": self.longest, "now": self.now}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Lulls:
        """What `state` gave; BadInput for anything else."""
        return cls(take_integer(state, "longest", minimum=0), take_integer(state, "now", minimum=0))
