"""Days of a kind that the reference hardly covers (an office's first Monday): what they showed, by hour.

    a window of such a day ──▶ its hour ──(the day is over, and no alarm is on)──▶ known
    days over while an alarm is on that began on them ──(it ends as their kind of day does, or within a day)──▶ known
                                                      ──(it lasts)──▶ discarded: what lasts is no rhythm

The first such day is known when it is over; a later one adds to it where an alarm came and went on it. What is known of
an hour, or of the one before or after it, is no evidence at that hour of the next such day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core.arrays import array, numbers
from agent.core.untrusted import BadInput, take_flag, take_integer, take_list, take_number
from agent.drift.contexts import HOURS
from agent.drift.day_kinds import weekend
from agent.drift.evidence import ASPECTS, EDGES, Evidence
from agent.drift.sketch import LATEST

UNSEEN_TRUST = 0.5
"""What distributions and classes of such a day count for."""

USUAL_THEN = np.array([1.0, np.log(2.0), np.log(2.0)])[:, None]
"""By how much each aspect may be off on such a day, all day long: a weekend may have half or twice the traffic. Less
than that, however long it lasts, is no evidence; a blurred or moved camera is within minutes."""

ENDS_WITH = 3 * 3600.0
"""Seconds after such days within which an alarm ends that was of them: one that a day may run late, as everywhere, and
the two that the longest time scale of distances takes to forget."""

UNLIKE = 1.5
"""Times the usual distance of a window: so far on the mean of an hour is another distribution. As its noise on such
days is not known, it is no witness then; what it adds to its level and spread is."""

_DAY = 86400.0
_KINDS = 2
_LEAST_TRUST = 5.0  # windows' worth that the mean of an hour rests on
_PARTS = len(ASPECTS)
_KNOWN_ROWS, _SUM_ROWS = 2 * _PARTS + 1, 2 * _PARTS + 2


@dataclass(slots=True, eq=False)
class NewDays:
    """The state of one camera, by 24 times the kind of day and the hour: what is `known`, (7, F), the lowest and the
    highest mean of each aspect and the largest of distances; and of the `day` under way, with those before it where it
    `waits` for the end of an alarm, `sums`, (8, F), of aspects by trust, of trust, of distances, and of windows;
    `held`, as `known`, what those before it showed. `alarmed`: an alarm was on in them; `before`: one that began before
    them; `on`: the local time since which one is, 0 if none."""

    known: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    sums: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    held: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    day: int = 0
    alarmed: bool = False
    before: bool = False
    waits: bool = False
    on: float = 0.0

    def turn(self, local: float, *, alarm: bool) -> None:
        """It is `local` time (seconds since 1970) now; whether an `alarm` is on."""
        day = int(local // _DAY)
        if alarm:
            self.on = self.on or local
        if day != self.day and alarm and self.sums and not self.before:
            self.waits = True
        if self.waits:
            over = any(key // HOURS != weekend(local, 0.0) for key in self._under_way())
            late = local - _DAY * (self.day + 1) > (ENDS_WITH if over else _DAY)
            if alarm and not late:
                if day != self.day and not over:
                    # each day by itself: its hours are not those of the one before
                    _add_days(self.held, self.sums)
                    self.day, self.sums = day, {}
                return
            brief = not alarm and local - self.on < _DAY
            self._end(learn=(over and not late) or brief, before=alarm)
        elif day != self.day:
            self._end(learn=not alarm, before=alarm)
        self.day = day
        self.alarmed |= alarm
        self.on = self.on if alarm else 0.0

    def _under_way(self) -> set[int]:
        """Of what hours something waits to be known."""
        return {*self.held, *self.sums}

    def _end(self, *, learn: bool, before: bool) -> None:
        """The days under way are over; an alarm goes on that began `before` what follows."""
        first = not any(key in self.known for key in self._under_way())
        if learn and (first or self.alarmed):
            _add_days(self.held, self.sums)
            for key, new in self.held.items():
                _extend(self.known, key, new)
        self.sums, self.held, self.alarmed, self.before, self.waits = {}, {}, False, before, False

    def add(self, key: int, evidence: Evidence) -> None:
        """Windows of the day under way, all of one hour."""
        if self.waits and any(key // HOURS != each // HOURS for each in self._under_way()):
            return
        found = np.concatenate(
            [
                (evidence.trust * evidence.aspects).sum(axis=0),
                evidence.trust.sum(axis=0),
                _distances(evidence.ranks).sum(axis=0)[None],
                np.full((1, evidence.ranks.shape[1]), float(len(evidence.ranks))),
            ]
        )
        self.sums[key] = self.sums[key] + found if key in self.sums else found

    def beyond(
        self, key: int, evidence: Evidence, offset: NDArray[np.float64], usual: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Aspects (W, 3, F), whose mean is `offset` (3, F), and ranks (W, F, 19), whose distance is `usual` (F,), as
        far as they are unlike the reference and unlike what is known of such days at hour `key`."""
        low, high, distance = self._usual(key, offset)
        aspects = evidence.aspects - np.clip(evidence.aspects, low - USUAL_THEN, high + USUAL_THEN) + offset
        witness = np.where(distance > UNLIKE * usual, 0.0, UNSEEN_TRUST)
        return aspects, EDGES + witness[:, None] * (evidence.ranks - EDGES)

    def _usual(self, key: int, offset: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        kind, hour = divmod(key, HOURS)
        around = [self.known.get(HOURS * kind + (hour + step) % HOURS) for step in (-1, 0, 1)]
        every = [each for each in around if each is not None]
        low, high = offset, offset
        for each in every:
            low, high = np.fmin(low, each[:_PARTS]), np.fmax(high, each[_PARTS : 2 * _PARTS])
        return low, high, np.max([each[-1] for each in every] or np.zeros((1, offset.shape[1])), axis=0)

    def state(self) -> dict[str, Any]:
        """As JSON values: 1 kB for each hour that is known, and 2 kB for each of the day under way."""
        return {
            "day": self.day,
            "alarmed": self.alarmed,
            "before": self.before,
            "waits": self.waits,
            "known_hours": list(self.known),
            "known": numbers(np.array(list(self.known.values())), "<f4"),
            "hours": list(self.sums),
            "sums": numbers(np.array(list(self.sums.values()))),
            "held_hours": list(self.held),
            "held": numbers(np.array(list(self.held.values())), "<f4"),
            "on": self.on,
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any], features: int) -> NewDays:
        """What `state` gave; BadInput for anything else."""
        known, sums = (_keys(state, name) for name in ("known_hours", "hours"))
        held = _keys(state, "held_hours") if "held_hours" in state else []  # the version before had none
        values = array(state, "known", (len(known), _KNOWN_ROWS, features), kind="<f4", unknown=True)
        waiting = np.zeros((0, _KNOWN_ROWS, features))
        if held:
            waiting = array(state, "held", (len(held), _KNOWN_ROWS, features), kind="<f4", unknown=True)
        totals = array(state, "sums", (len(sums), _SUM_ROWS, features))
        return cls(
            known=dict(zip(known, values, strict=True)),
            sums=dict(zip(sums, totals, strict=True)),
            held=dict(zip(held, waiting, strict=True)),
            day=take_integer(state, "day", minimum=-1, maximum=int(LATEST // _DAY) + 1),
            alarmed=take_flag(state, "alarmed"),
            before=take_flag(state, "before", False),  # the version before had none
            waits=take_flag(state, "waits", False),
            on=take_number(state, "on", 0.0, minimum=0.0, maximum=LATEST + _DAY),
        )


def _keys(state: Mapping[str, Any], name: str) -> list[int]:
    keys = take_list(state, name, longest=_KINDS * HOURS)
    found = [take_integer({name: key}, name, minimum=0, maximum=_KINDS * HOURS - 1) for key in keys]
    if len(set(found)) < len(found):
        raise BadInput(f"`{name}` holds an hour twice")
    return found


def _distances(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distances of ranks (W, F, 19) from those of normal values, (W, F)."""
    return np.asarray(np.abs(ranks - EDGES).max(axis=-1))


def _add_days(days: dict[int, NDArray[np.float64]], sums: Mapping[int, NDArray[np.float64]]) -> None:
    """Add what a day's `sums` show to what `days` did."""
    for key, each in sums.items():
        trust, windows = each[_PARTS : 2 * _PARTS], np.maximum(each[-1], 1.0)
        mean = np.where(trust >= _LEAST_TRUST, each[:_PARTS] / np.maximum(trust, 1e-9), np.nan)
        _extend(days, key, np.concatenate([mean, mean, each[None, -2] / windows]))


def _extend(days: dict[int, NDArray[np.float64]], key: int, new: NDArray[np.float64]) -> None:
    """Let what is known of an hour reach as far as `new` (7, F) does as well."""
    new = new.astype(np.float32)
    old = days.get(key, new)
    low, high = np.fmin(old, new), np.fmax(old, new)
    days[key] = np.concatenate([low[:_PARTS], high[_PARTS:]]).astype(np.float64)
