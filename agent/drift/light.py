"""Light that a reference has not seen: a first dawn is no drift, and what cannot be compared is not judged.

At an hour that it never saw (all hours of an install's first day) a reference knows the light of the hours around it.
What goes beyond that bit by bit is the day's; what does so at a stroke is judged, however dark or bright it is then:

    known ── brighter or darker than those hours, bit by bit ──▶ beyond ── as bright as one of them ──▶ known
    known ── at a stroke (JUMP) ──▶ struck (judged) ── as bright as one of them ──▶ known
    beyond ── darker than those hours at a stroke ──▶ struck

An infrared camera's grey, or its colours where only grey is known, are beyond as well, and always come at a stroke.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.core.untrusted import take_number, take_text
from agent.drift.contexts import HOURS
from agent.drift.reference import Reference
from agent.drift.sketch import LATEST, WindowSketch

JUMP = math.log(1.12)
"""Of a minute: twilight changes grey levels by 7 % a minute at 50 degrees of latitude, by 10 % in the tropics."""

AROUND_HOURS = 3.0
"""The light of hours farther away is another part of the day's."""

NEAR = 0.02
"""Of the brightness: so much beyond what an hour had is still its light."""

GREY = 0.03
"""Saturation below which a frame has no colours: infrared, but for what compression leaves."""

LIT = 0.2
"""Of the brightness of the hours around: so bright is what an infrared lamp lights, and a covered lens is not."""

KNOWN, BEYOND, STRUCK = "known", "beyond", "struck"

_OWN = 0.5  # hours from a moment to the middle of its own hour, at most
_BULK = (0.25, 0.75)  # of an hour's frames: its light, without those that a headlight or a shadow is in
_ALL = (0.0, 1.0)


class SeenLight:
    """The light of a reference's hours; nothing is known where it has no brightness, or no hours."""

    def __init__(self, reference: Reference) -> None:
        names = reference.origin.features
        self._places = {name: names.index(name) for name in ("brightness", "saturation") if name in names}
        self._hours = {} if reference.any_hour else dict(reference.hours)
        self.end = reference.origin.end

    def unseen_hour(self, moment: float) -> bool:
        """Whether the hour of day of `moment` (Unix time) is one that was never seen."""
        return bool(self._hours) and all(distance > _OWN for distance in self._distances(moment).values())

    def span(self, name: str, moment: float, ranks: tuple[float, float] = _BULK) -> tuple[float, float]:
        """From the lowest to the highest of a feature's `ranks` in the hours around `moment`; NaN where unknown."""
        near = [hour for hour, distance in self._distances(moment).items() if distance <= AROUND_HOURS]
        sketches = [self._hours[hour].sketches[self._places[name]] for hour in near if name in self._places]
        found = [each.quantiles(ranks) for each in sketches if each.count]
        if not found:
            return math.nan, math.nan
        return min(float(each[0]) for each in found), max(float(each[1]) for each in found)

    def of(self, name: str, window: WindowSketch) -> float:
        """The median of a feature in a window; NaN where unknown."""
        if name not in self._places:
            return math.nan
        return float(window.sketches[self._places[name]].quantiles([0.5])[0])

    def _distances(self, moment: float) -> dict[int, float]:
        """Hours between `moment` and the middle of each hour of day that was seen."""
        at = moment % 86400.0 / 3600.0 - 0.5
        half = HOURS / 2
        return {hour: abs((hour - at + half) % HOURS - half) for hour in self._hours}


@dataclass(slots=True)
class LightFollower:
    """The state: KNOWN, BEYOND or STRUCK; the `last` window's brightness, NaN before the first, and its end."""

    state: str = KNOWN
    last: float = math.nan
    last_end: float = 0.0

    def step(self, seen: SeenLight, window: WindowSketch) -> bool:
        """One more window; whether neither its hour nor its light was ever seen."""
        moment, brightness = (window.start + window.end) / 2.0, seen.of("brightness", window)
        if math.isnan(
            self.last
        ):  # it begins where the recording was, the frames that were nearest to this light
            least, most = seen.span("brightness", moment, _ALL)
            self.last, self.last_end = min(max(brightness, least), most), seen.end
        minutes = max((window.end - self.last_end) / 60.0, 1.0)
        change = math.log((max(brightness, 0.0) + 1.0) / (max(self.last, 0.0) + 1.0)) / minutes
        self.last, self.last_end = brightness, window.end
        if not seen.unseen_hour(moment):
            self.state = KNOWN
            return False
        low, high = seen.span("brightness", moment)
        darker, brighter = brightness < low * (1.0 - NEAR), brightness > high * (1.0 + NEAR)
        lit = brightness >= LIT * low
        if lit and _other_mode(seen.span("saturation", moment), seen.of("saturation", window)):
            self.state = BEYOND
        elif not (darker or brighter):
            self.state = KNOWN
        elif self.state == KNOWN:
            self.state = STRUCK if abs(change) > JUMP else BEYOND
        elif darker and change < -JUMP:
            self.state = STRUCK
        return self.state == BEYOND

    def onward(self) -> LightFollower:
        """What goes on from here by another reference."""
        return LightFollower(KNOWN, self.last, self.last_end)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "state": self.state,
            "last": None if math.isnan(self.last) else self.last,
            "last_end": self.last_end,
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> LightFollower:
        """What `to_json` gave; BadInput for anything else."""
        name = take_text(state, "state", longest=8)
        last, end = take_number(state, "last", None), take_number(state, "last_end", 0.0, maximum=LATEST)
        return cls(name if name in (BEYOND, STRUCK) else KNOWN, math.nan if last is None else last, end)


def _other_mode(bulk: tuple[float, float], saturation: float) -> bool:
    """Whether a window is grey where the hours around were in colours, or in colours where they were grey."""
    least, most = bulk
    return (saturation < GREY <= least) or (most < GREY <= saturation)
