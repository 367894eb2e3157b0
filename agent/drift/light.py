"""Light that the reference does not cover, such as a first dawn: these windows are not judged.

At an hour that it never saw (all hours of an install's first day) a reference knows the light of the hours around it.
What goes beyond that bit by bit is the day's; what does so at a stroke is judged, however dark or bright it is then:

    known ── brighter or darker than those hours ──▶ leaving ── bit by bit (DECIDED) ──▶ beyond
    known, leaving ── at a stroke ──▶ struck (judged)
    beyond ── darker than those hours at a stroke (JUMP) ──▶ struck
    struck ── the light goes on (until FINAL) ──▶ beyond
    leaving, beyond, struck ── as bright as one of those hours ──▶ known

What is leaving or beyond is not judged, unless those hours had such light now and then.
An infrared camera's grey, or its colours where only grey is known, are beyond as well, and always come at a stroke.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from agent.core.kll import Sketch
from agent.core.untrusted import BadInput, take_integer, take_list, take_number, take_text
from agent.drift.contexts import HOURS
from agent.drift.reference import Reference
from agent.drift.sketch import LATEST, WindowSketch

JUMP = math.log(1.25)
"""Of a minute: twilight changes grey levels by 7 % a minute at 50 degrees of latitude, by 10 % in the tropics, and what
moves in view by some more. What is less is told by how it came."""

DECIDED = 5
"""Windows after which it is known whether the light went on, as a day's does, or one stroke was all."""

BEGAN_SECONDS = 3600.0
"""Before the brightness is beyond what is known, dawn shows in other features; a twilight lasts no longer."""

FINAL = 9
"""Windows until which that may turn out to be wrong: later, what was before is not in the trail."""

AROUND_HOURS = 3.0
"""The light of hours farther away is another part of the day's."""

NEAR = 0.02
"""Of the brightness: so much beyond what an hour had is still its light."""

GREY = 0.03
"""Saturation below which a frame has no colours: infrared, but for what compression leaves."""

LIT = 0.2
"""Of the brightness of the hours around: so bright is what an infrared lamp lights, and a covered lens is not."""

KNOWN, LEAVING, BEYOND, STRUCK = "known", "leaving", "beyond", "struck"

_OWN = 0.5  # hours from a moment to the middle of its own hour, at most
_BULK = (0.25, 0.75)  # of an hour's frames
_WHISKER = 1.5  # times the width of the bulk: of a normal distribution's values 0.7 % lie beyond it
_ALL = (0.0, 1.0)
_TRAIL = 12
_SMOOTHED = 3
_NEARLY = 0.6  # of the change; two windows of five have 0.4 of a dawn's
_MOST_GAP = 3.0  # windows; after more it is not known how the light came


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
        found = [each.quantiles(ranks) for each in self._sketches(name, moment)]
        if not found:
            return math.nan, math.nan
        return min(float(each[0]) for each in found), max(float(each[1]) for each in found)

    def usual_span(self, name: str, moment: float) -> tuple[float, float]:
        """From the lowest to the highest whisker of a feature in the hours around `moment`; NaN where unknown."""
        found = [_whiskers(each) for each in self._sketches(name, moment)]
        if not found:
            return math.nan, math.nan
        return min(low for low, _ in found), max(high for _, high in found)

    def _sketches(self, name: str, moment: float) -> list[Sketch]:
        """What was seen of a feature in the hours around `moment`."""
        near = [hour for hour, distance in self._distances(moment).items() if distance <= AROUND_HOURS]
        found = [self._hours[hour].sketches[self._places[name]] for hour in near if name in self._places]
        return [each for each in found if each.count]

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
    """The `state`; `trail`, the brightness of the last windows, the newest last, which ended at `last_end`; `left`, how
    many windows ago the light was left that is known."""

    state: str = KNOWN
    trail: tuple[float, ...] = ()
    last_end: float = 0.0
    left: int = 0

    def step(self, seen: SeenLight, window: WindowSketch) -> bool:
        """One more window; whether neither its hour nor its light was ever seen."""
        moment, brightness = (window.start + window.end) / 2.0, seen.of("brightness", window)
        if not self.trail or abs(window.end - self.last_end) > _MOST_GAP * window.seconds:
            # It begins where the recording was, with the frame that is nearest to this light; twice, or the median of
            # three would take a stroke of the first window for no change at all.
            least, most = seen.span("brightness", moment, _ALL)
            self.trail, self.last_end = 2 * (min(max(brightness, least), most),), max(self.last_end, seen.end)
        minutes = max((window.end - self.last_end) / 60.0, 1.0)
        change = (_level(brightness) - _level(self.trail[-1])) / minutes
        self.trail, self.last_end = (*self.trail, brightness)[-_TRAIL:], window.end
        self.state = self._next(seen, moment, window, change) if seen.unseen_hour(moment) else KNOWN
        return self.state in (LEAVING, BEYOND) and self._never_seen(seen, moment, window)

    def _never_seen(self, seen: SeenLight, moment: float, window: WindowSketch) -> bool:
        """Whether the light is none that the hours around had now and then: between clouds, it comes bit by bit too."""
        low, high = seen.usual_span("brightness", moment)
        other_mode = _other_mode(seen.span("saturation", moment), seen.of("saturation", window))
        return other_mode or not low * (1.0 - NEAR) <= self.trail[-1] <= high * (1.0 + NEAR)

    def _next(self, seen: SeenLight, moment: float, window: WindowSketch, change: float) -> str:
        low, high = seen.span("brightness", moment)
        darker, brighter = self.trail[-1] < low * (1.0 - NEAR), self.trail[-1] > high * (1.0 + NEAR)
        lit = self.trail[-1] >= LIT * low
        if lit and _other_mode(seen.span("saturation", moment), seen.of("saturation", window)):
            return BEYOND
        if not (darker or brighter):
            return KNOWN
        self.left = min(self.left + 1, FINAL + 1) if self.state != KNOWN else 1
        if abs(change) > JUMP and (self.state in (KNOWN, LEAVING) or (darker and change < 0)):
            return STRUCK
        if self.left < DECIDED:
            return LEAVING if self.state == KNOWN else self.state
        if self.left <= FINAL and len(self.trail) >= DECIDED + _SMOOTHED:
            return STRUCK if _at_a_stroke(self.trail) else BEYOND
        return BEYOND if self.state == LEAVING else self.state

    def began(self, seen: SeenLight, since: float) -> bool:
        """Whether what an alarm went on for `since` a Unix time was that the light began to go beyond what is known."""
        return self.state == BEYOND and self.last_end - since <= BEGAN_SECONDS and seen.unseen_hour(since)

    def onward(self) -> LightFollower:
        """What goes on from here by another reference."""
        return LightFollower(KNOWN, self.trail, self.last_end)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        trail = [None if math.isnan(each) else each for each in self.trail]
        return {"state": self.state, "trail": trail, "last_end": self.last_end, "left": self.left}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> LightFollower:
        """What `to_json` gave; BadInput for anything else."""
        trail, name = take_list(state, "trail", longest=_TRAIL), take_text(state, "state", longest=8)
        if name not in (KNOWN, LEAVING, BEYOND, STRUCK):
            raise BadInput("`state` is none of light")
        return cls(
            name,
            tuple(take_number({"brightness": each}, "brightness", math.nan) for each in trail),
            take_number(state, "last_end", minimum=0.0, maximum=LATEST),
            take_integer(state, "left", minimum=0, maximum=FINAL + 1),
        )


def _whiskers(seen: Sketch) -> tuple[float, float]:
    """Of a box plot (Tukey, 1977): the lowest and highest value, but for those that a headlight or a shadow made."""
    least, first, third, most = map(float, seen.quantiles([0.0, *_BULK, 1.0]))
    reach = _WHISKER * (third - first)
    return max(least, first - reach), min(most, third + reach)


def _level(brightness: float) -> float:
    return math.log(max(brightness, 0.0) + 1.0)


def _at_a_stroke(trail: tuple[float, ...]) -> bool:
    """Whether two windows made nearly all of the change over a trail, smoothed by medians of three."""
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(np.array(trail), _SMOOTHED), axis=-1)
    whole = abs(float(smooth[-1] - smooth[0]))
    return bool(np.abs(smooth[2:] - smooth[:-2]).max(initial=0.0) >= _NEARLY * whole)


def _other_mode(bulk: tuple[float, float], saturation: float) -> bool:
    """Whether a window is grey where the hours around were in colours, or in colours where they were grey."""
    least, most = bulk
    return (saturation < GREY <= least) or (most < GREY <= saturation)
