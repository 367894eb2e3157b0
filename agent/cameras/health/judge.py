"""Judges a camera's health by the content of its frames, a few times a second.

Laws
----
1. A fault begins after its sign has stood without a break for its `enter` seconds, and ends after the sign
   has been away for its `leave` seconds: nothing flickers.
2. Black, covered, overexposed and frozen frames are recognised by themselves; the others, and a cover with a texture,
   against what this camera normally shows in this view and light (`normals`), which is learnt over 12 s and then
   slowly, only while nothing is wrong. Another light is no fault: it is learnt as well.
3. Of several faults the first in `FAULTS` is the camera's state.
4. What a person may have meant, or cannot mend (another aim, focus, size or rate, a van before the lens, broken time
   stamps), becomes the new normal after an hour.
5. What cannot be told (too dark, blinded, no structure, a view that keeps moving) is no fault, and the verdict says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from agent.cameras.health.cover import Cover
from agent.cameras.health.features import BLOCKS, Blocks, ImageMeasures, SmallImage, agreement, measure
from agent.cameras.health.light import LightMode, LightState, light_after
from agent.cameras.health.normals import (
    FIRST_SAMPLES,
    IN_PLACE_RATIO,
    LASTING_SECONDS,
    LEAST_LIKENESS,
    MOVED_RATIO,
    VIEW_SAMPLES,
    CameraNormal,
    added,
    best_fit,
    first_normal,
    fits,
    followed,
    recent_after,
    view_likeness,
)
from agent.cameras.health.signs import SampleLook, Signs, overlaid, signs_of, untold
from agent.cameras.health.stillness import BlackRun, EqualRun
from agent.cameras.health.timing import TimingReport
from agent.cameras.health.veil import Veil
from agent.core.types import CameraState

SAMPLE_SECONDS = 0.25  # health samples a frame four times a second
LONGEST_STEP = 5.0  # seconds that one sample may stand for
ACCEPT_SECONDS = 3600.0
UNTOLD_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault's state, how long its sign must stand and be away (seconds), and whether it may become normal.

    While any fault stands, frames stay out of drift windows.
    """

    state: CameraState
    enter: float
    leave: float
    accepted: bool = False


FAULTS: tuple[Fault, ...] = (
    Fault(CameraState.BLACK, 3.0, 2.0),
    Fault(CameraState.OVEREXPOSED, 5.0, 3.0),
    Fault(CameraState.COVERED, 5.0, 3.0),
    Fault(CameraState.FROZEN, 0.0, 1.0),  # its sign has its own seconds
    Fault(CameraState.RESIZED, 1.0, 1.0, accepted=True),
    Fault(CameraState.MOVED, 5.0, 5.0, accepted=True),
    Fault(CameraState.FOGGED, 180.0, 30.0),  # the sun in the lens passes
    Fault(CameraState.BLURRED, 8.0, 5.0, accepted=True),
    Fault(CameraState.OBSTRUCTED, 120.0, 10.0, accepted=True),  # a bus stops for a minute
    # Sound frames, but what is measured between them (motion, flicker) is not what it was at the usual rate.
    Fault(CameraState.SLOW, 10.0, 10.0, accepted=True),
    Fault(CameraState.BAD_TIMESTAMPS, 0.0, 30.0, accepted=True),
)


@dataclass(frozen=True, slots=True)
class FaultState:
    """Where one fault stands: whether it is on, since when, and when its sign last turned against that."""

    on: bool = False
    since: float = 0.0
    turned: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class HealthState:
    """What is carried from sample to sample.

    `current` is the index of the normal that the view is judged by, `stop` of the one that it was last seen to be;
    `untold` has each reason why something could not be told, since when and when last.
    """

    light: LightState = field(default_factory=LightState)
    normals: tuple[CameraNormal, ...] = ()
    current: int | None = None
    stop: int | None = None
    learning: tuple[ImageMeasures, ...] = ()
    recent: NDArray[np.float32] | None = None
    lasting: NDArray[np.float32] | None = None
    last: SmallImage | None = None
    at: float | None = None
    stretch: EqualRun = field(default_factory=EqualRun)
    black: BlackRun = field(default_factory=BlackRun)
    veil: Veil = field(default_factory=Veil)
    cover: Cover = field(default_factory=Cover)
    standings: Mapping[CameraState, FaultState] = field(default_factory=dict)
    untold: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def normal(self) -> CameraNormal | None:
        """What is normal in this view and light; None where that is not known."""
        return None if self.current is None else self.normals[self.current]


@dataclass(frozen=True, slots=True)
class HealthVerdict:
    """The camera's state by its content, a reason in words, and whether its frames are usable.

    `accepted` names faults that have just become the new normal; `light` is None before it is known, `untold` says what
    cannot be told and why, "" for nothing.
    """

    state: CameraState
    reason: str
    usable: bool
    accepted: frozenset[CameraState] = frozenset()
    light: LightMode | None = None
    untold: str = ""


WELL = HealthVerdict(CameraState.ONLINE, "", True)


def observe(
    state: HealthState, sample: SmallImage, now: float, pace: TimingReport
) -> tuple[HealthState, HealthVerdict]:
    """The state after the sample of `now` (any clock that grows), and what it means."""
    passed = 0.0 if state.at is None else min(LONGEST_STEP, max(0.0, now - state.at))
    figures = measure(sample.grey, sample.kept, state.last.grey if state.last else None)
    recent = recent_after(state.recent, figures.edges, passed)
    state = replace(
        state, light=light_after(state.light, figures, sample.chroma, now), recent=recent, last=sample, at=now,
        stretch=state.stretch.after(sample, now), black=state.black.after(figures, now, passed),
    )  # fmt: skip
    was = state.normal
    agreed = _agreed(recent, was.background if was else None)
    state = _placed(state, figures, sample.size, agreed)
    lasting = (
        recent if state.normal is not was else recent_after(state.lasting, recent, passed, LASTING_SECONDS)
    )
    normal = state.normal if state.light.settled else None
    veil = (state.veil if state.normal is was else Veil()).after(figures, normal, now)
    cover = (state.cover if state.normal is was else Cover()).after(figures, lasting, normal, now)
    state = replace(state, lasting=lasting, veil=veil, cover=cover)
    if state.normal is not was:
        agreed = _agreed(recent, state.normal.background if state.normal else None)
    look = SampleLook(
        now=now, sample=sample, figures=figures, recent=recent, lasting=lasting, agreed=agreed, normal=normal,
        kept_agreed=_agreed(lasting, normal.kept if normal else None),
        steady=_steadiness(state, figures, recent),
        stretch=state.stretch, black=state.black, veil=veil, cover=cover, pace=pace,
    )  # fmt: skip
    signs = signs_of(look)
    standings = {
        fault.state: _stand(state.standings.get(fault.state, FaultState()), fault, signs[fault.state][0], now)
        for fault in FAULTS
    }
    state = _accept(replace(state, standings=standings), now)
    accepted = frozenset(name for name, one in standings.items() if one.on and not state.standings[name].on)
    over = overlaid(look)
    state = _learn(_explain(state, look, over), look, signs[CameraState.MOVED][0], passed, over)
    return state, _verdict(state, signs, accepted)


def reopened(state: HealthState) -> HealthState:
    """The state for a new connection: faults are judged anew, what is normal is kept."""
    return replace(
        state, stretch=EqualRun(longest=state.stretch.longest), veil=Veil(), cover=Cover(), standings={}, learning=(),
        recent=None, lasting=None, last=None, at=None )  # fmt: skip


def _placed(state: HealthState, figures: ImageMeasures, size: tuple[int, int], agreed: Blocks) -> HealthState:
    """The state with the normal that fits the view in this light, None where none is known of it yet.

    The view is `agreed` to be that of the normal it had.
    """
    same = [index for index, one in enumerate(state.normals) if one.mode is state.light.mode]
    if not same:
        return replace(state, current=None)
    assert state.recent is not None
    current = state.current if state.current in same else None
    if current is not None:
        normal = state.normals[current]
        if normal.likeness < LEAST_LIKENESS:
            return state
        if fits(agreed, figures, normal):
            return _standing(state, current)
    fit, index = best_fit([state.normals[index] for index in same], state.recent, figures, size)
    if fit > IN_PLACE_RATIO:
        return _standing(state, same[index])
    others = [one for one in state.normals if one.mode is not state.light.mode]
    if current is None and best_fit(others, state.recent, figures, size)[0] > IN_PLACE_RATIO:
        return replace(state, current=None)  # a known view in a light in which it was not seen yet
    if fit >= MOVED_RATIO or current is None:
        return replace(state, current=same[index])
    return state


def _standing(state: HealthState, current: int) -> HealthState:
    """The state in which the view is that of `current`; where it came back, all seen since are stops of a tour."""
    before = None if state.stop is None else state.normals[state.stop]
    state = replace(state, current=current, stop=current)
    if before in (None, state.normals[current]) or before.mode is not state.light.mode:
        return state
    return replace(state, normals=tuple(replace(one, known=True) for one in state.normals))


def _agreed(edges: NDArray[np.float32], background: NDArray[np.float32] | None) -> Blocks:
    """How each block (40,) agrees with that background; 1 where there is none."""
    return np.ones(BLOCKS, np.float32) if background is None else agreement(edges, background)


def _steadiness(state: HealthState, figures: ImageMeasures, recent: NDArray[np.float32]) -> float:
    """How much the view is that of the last seconds."""
    if state.normal is None:
        return 1.0
    return view_likeness(agreement(figures.edges, recent), figures, state.normal)


def _stand(standing: FaultState, fault: Fault, sign: bool | None, now: float) -> FaultState:
    """Law 1. A `sign` of None (in between) keeps things as they are, and breaks what was about to change."""
    if sign is None or sign == standing.on:
        return standing if standing.turned is None else replace(standing, turned=None)
    turned = now if standing.turned is None else standing.turned
    if now - turned >= (fault.leave if standing.on else fault.enter):
        return FaultState(on=not standing.on, since=now)
    return replace(standing, turned=turned)


def _accept(state: HealthState, now: float) -> HealthState:
    """Law 4. The state in which a fault that has stood for an hour is normal."""
    accepted = [
        fault.state for fault in FAULTS
        if fault.accepted and state.standings[fault.state].on
        and now - state.standings[fault.state].since >= ACCEPT_SECONDS
    ]  # fmt: skip
    if not accepted:
        return state
    standings = {**state.standings, **dict.fromkeys(accepted, FaultState())}
    normal = state.normal
    if accepted == [CameraState.MOVED] and normal is not None and not normal.known:
        normals = tuple(replace(one, known=True) for one in state.normals)
        return replace(state, standings=standings, normals=normals, learning=())
    return replace(state, standings=standings, normals=(), current=None, stop=None, learning=())


def _explain(state: HealthState, look: SampleLook, over: bool) -> HealthState:
    """The state with what cannot be told just now: a reason is over once it has been away for UNTOLD_SECONDS."""
    text, now = untold(look, over), look.now
    reasons = {each: times for each, times in state.untold.items() if now - times[1] < UNTOLD_SECONDS}
    if text:
        reasons[text] = (reasons.get(text, (now, now))[0], now)
    return replace(state, untold=reasons)


def _learn(
    state: HealthState, look: SampleLook, moved: bool | None, passed: float, over: bool
) -> HealthState:
    """The state after learning from a sample in which nothing is wrong, or that shows another view.

    What passes before another view, so that it cannot be told whether it is `moved`, interrupts the learning only.
    """
    mode = state.light.mode
    if mode is None or state.light.other is not None or _disturbed(state):
        return replace(state, learning=())
    normal = state.normal
    if normal is None:
        return _gather(state, look, mode, FIRST_SAMPLES, known=True)
    away = not fits(look.agreed, look.figures, normal)
    if away and moved is not False:
        return _gather(state, look, mode, VIEW_SAMPLES, known=False) if moved else state
    if away or _turning(state, CameraState.MOVED):
        return replace(state, learning=())
    assert state.current is not None
    new = followed(
        normal, look.figures, look.agreed, look.kept_agreed, overlaid=over, steady=look.steady, passed=passed
    )
    normals = (*state.normals[: state.current], new, *state.normals[state.current + 1 :])
    return replace(state, normals=normals, learning=())


def _disturbed(state: HealthState) -> bool:
    """Whether anything but the aim is wrong, or about to turn."""
    return any(_turning(state, fault.state) for fault in FAULTS if fault.state is not CameraState.MOVED)


def _turning(state: HealthState, name: CameraState) -> bool:
    standing = state.standings[name]
    return standing.on or standing.turned is not None


def _gather(
    state: HealthState, look: SampleLook, mode: LightMode, needed: int, *, known: bool
) -> HealthState:
    learning = (*state.learning, look.figures)
    if len(learning) < needed:
        return replace(state, learning=learning)
    normal = first_normal(learning, look.sample.size, mode, known=known)
    if normal is None:
        return replace(state, learning=learning[needed // 2 :])
    normals = added(state.normals, normal)
    newest = len(normals) - 1
    return replace(state, normals=normals, current=newest, stop=newest, learning=())


def _lasting_reason(state: HealthState) -> str:
    """Why something cannot be told, of the reasons that have stood for UNTOLD_SECONDS the oldest; "" for none."""
    stood = {text: since for text, (since, last) in state.untold.items() if last - since >= UNTOLD_SECONDS}
    return min(stood, key=lambda text: stood[text], default="")


def _verdict(state: HealthState, signs: Signs, accepted: frozenset[CameraState]) -> HealthVerdict:
    untold = _lasting_reason(state)
    on = [fault for fault in FAULTS if state.standings[fault.state].on]
    if not on:
        return HealthVerdict(CameraState.ONLINE, "", True, accepted, state.light.mode, untold)
    first = on[0]
    return HealthVerdict(first.state, signs[first.state][1], False, accepted, state.light.mode, untold)
