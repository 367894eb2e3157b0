"""Daily changes: what comes and goes with the hours of the day is one alarm.

    over ── the like of it within a day, and it was on for hours ──▶ on, and known to be daily
    on ── it ends ──▶ over, or where it is daily: in a pause
    in a pause ── the like of it ──▶ on; a day without it, or something else ──▶ over
    over ── the like of it, with no whole day of its kind between (a weekend) ──▶ on, and daily still

Where fewer people come, nights are as ever: each evening the evidence says that the change is gone, and each morning it
is back. What is on for some hours only is an event, and becomes familiar (`passing.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.core.untrusted import take_flag, take_integer, take_number
from agent.drift.sketch import LATEST

DAY_SECONDS = 86_400.0

HOURS_SECONDS = 6 * 3600.0
"""What is on for longer is there for a good part of the day."""

WEEK_SECONDS = 7 * DAY_SECONDS
"""For so long it may stay away on days of another kind, and still be known when it is back."""


@dataclass(slots=True)
class Daily:
    """The state: `since` when the alarm is on for others, pauses included, None while it is not; when what is on now
    `began`, None where it is off or in a pause, and on what `kind` of day (day_kinds); when the last one `ended`, and
    for how many seconds it `lasted`; for how many it has been `away` on such days; and whether it is known to be
    `daily`."""

    since: float | None = None
    began: float | None = None
    ended: float | None = None
    lasted: float = 0.0
    daily: bool = False
    kind: int = 0
    away: float = 0.0

    @property
    def pause_ends(self) -> float | None:
        """When the pause under way is over, a Unix time; None where there is none."""
        if self.since is None or self.began is not None or self.ended is None:
            return None
        return self.ended + DAY_SECONDS

    def step(self, began: float | None, now: float, seconds: float, kind: int, *, again: bool) -> None:
        """One more window, which ends `now`, `seconds` after the last, on a day of this kind: the alarm is on since it
        `began`, or off; `again` where what raised it is the like of what did before."""
        self.away += seconds * (kind == self.kind)
        if began is not None and self.began is None:
            self._raised(began, again=again)
            self.kind = kind
        elif began is None and self.began is not None:
            self.ended, self.lasted, self.away = now, max(now - self.began, 0.0), 0.0
            self.since = self.since if self.daily else None
        self.began = began
        if self.pause_ends is not None and not 0.0 < self.pause_ends - now <= DAY_SECONDS:
            self.since = None  # also where the clock went back

    def _raised(self, began: float, *, again: bool) -> None:
        between = WEEK_SECONDS if self.ended is None else began - self.ended
        if self.daily:
            known = self.away < DAY_SECONDS and 0.0 <= between < WEEK_SECONDS
        else:
            known = self.lasted > HOURS_SECONDS and 0.0 <= between < DAY_SECONDS
        self.daily = again and known
        self.since = self.since if self.daily and self.since is not None else began

    def state(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "since": self.since,
            "began": self.began,
            "ended": self.ended,
            "lasted": self.lasted,
            "daily": self.daily,
            "kind": self.kind,
            "away": self.away,
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Daily:
        """What `state` gave; BadInput for anything else."""
        since, began, ended = (
            take_number(state, name, None, minimum=0.0, maximum=LATEST)
            for name in ("since", "began", "ended")
        )
        lasted = take_number(state, "lasted", minimum=0.0)
        kind = take_integer(state, "kind", 0, minimum=0, maximum=1)  # the version before had none
        away = take_number(state, "away", 0.0, minimum=0.0)
        return cls(since, began, ended, lasted, take_flag(state, "daily"), kind, away)
