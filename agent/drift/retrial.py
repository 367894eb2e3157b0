"""A retrial: whether a judge that began anew would raise the alarm that is on, a day at a time.

    on ── found anew, by limits that can still be raised ──▶ on, for another day by higher ones
    on ── a day, and it was found anew by the highest ──▶ on, for another day
    on ── a day, and it was not found ──▶ over

A change that lasts is found anew, about as soon as it was at first. What is not, in all hours of a day like that on
which it was found, was chance, or an hour for which the reference is no standard. No evidence would ever say plainly
that such a one is gone, as it is held against the change that was noted, which may be how that hour has always been.
Each time that it is found, limits are as they would be had the alarm ended and been raised again (`patience.py`): once
by how much they are raised would keep it quiet, it is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.core.untrusted import take_flag, take_integer, take_number, take_object
from agent.drift.remembered import Remembered

DAY_SECONDS = 86_400.0
TIMES = 2
"""Times the age at which it was found first: for so long it must have been able to show itself."""


@dataclass(slots=True)
class TrialDay:
    """The state of the day on trial: windows `tried` of the kind of day on which it was found (`kind`, as in
    day_kinds); those in which it could have `shown` itself, `least` of which there must be; by how many times the
    limits of the reference it must be exceeded to be found, `limit`; whether it was `found` by the highest.
    """

    kind: int
    least: int
    limit: float
    tried: int = 0
    shown: int = 0
    found: bool = False

    @classmethod
    def of(cls, kind: int, age: int, limit: float) -> TrialDay:
        """Of a change that was found on such a day when it was `age` windows old."""
        return cls(kind, TIMES * max(age, 1), limit)

    def step(self, kind: int, *, shows: bool, ratio: float, higher: float) -> bool:
        """One more window on a day of this kind; whether the change could show itself, and its `ratio` since it is
        tried. True where it is found by limits that may be as high as `higher`, and so tried anew by those."""
        self.tried += kind == self.kind
        self.shown += shows
        if self.found or ratio < self.limit:
            return False
        if higher <= self.limit:
            self.found = True
            return False
        self.limit, self.tried, self.shown = higher, 0, 0
        return True

    def complete(self, window_seconds: float) -> bool:
        """Whether the day is over."""
        return self.tried * window_seconds >= DAY_SECONDS and self.shown >= self.least

    def next(self) -> TrialDay:
        """Another day."""
        return TrialDay(self.kind, self.least, self.limit)

    def state(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "kind": self.kind,
            "least": self.least,
            "limit": self.limit,
            "tried": self.tried,
            "shown": self.shown,
            "found": self.found,
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> TrialDay:
        """What `state` gave; BadInput for anything else."""
        return cls(
            take_integer(state, "kind", minimum=0, maximum=1),
            take_integer(state, "least", minimum=0),
            take_number(state, "limit", minimum=0.0),
            take_integer(state, "tried", minimum=0),
            take_integer(state, "shown", minimum=0),
            take_flag(state, "found"),
        )


@dataclass(slots=True, eq=False)
class Retrial:
    """The `day` on trial, and what a judge remembers that began `anew` with it."""

    day: TrialDay
    anew: Remembered

    def step(self, kind: int, window_seconds: float, *, shows: bool, ratio: float, higher: float) -> bool:
        """As for the day; whether it was tried in vain."""
        if self.day.step(kind, shows=shows, ratio=ratio, higher=higher):
            self.anew.begin_anew()
        if not self.day.complete(window_seconds):
            return False
        vain, self.day = not self.day.found, self.day.next()
        self.anew.begin_anew()
        return vain

    def state(self) -> dict[str, Any]:
        """As JSON values (as much as what is remembered)."""
        return {"day": self.day.state(), "anew": self.anew.state()}

    @classmethod
    def restore(cls, state: Mapping[str, Any], remembered: Remembered) -> Retrial:
        """What `state` gave, of the shapes of what is `remembered`; BadInput for anything else."""
        return cls(
            TrialDay.restore(take_object(state, "day")), remembered.restored(take_object(state, "anew"))
        )
