"""Whether a camera's frames can be believed, judged by their content a few times a second.

Laws
----
1. A fault begins after its sign has stood without a break for its `enter` seconds, and ends after the sign
   has been away for its `leave` seconds: nothing flickers.
2. Black, covered, overexposed and frozen frames are recognised by themselves; blurred, moved, resized and slow
   ones, and a cover with a texture, against what this camera normally shows, which is learnt over its first
   `LEARNING_SAMPLES` and then slowly, only while nothing is wrong.
3. Of several faults the first in `FAULTS` is the camera's state.
4. What a person may have meant, or cannot mend (another aim, focus, size or rate, broken time stamps), becomes
   the new normal after an hour.
5. A quiet scene teaches patience: a stretch of equal frames that ended by itself makes the next one wait
   three times as long before it counts as frozen.

The constants come from three real videos (a road from above, a corridor, a table), read four times a second,
and from faults planted in them; each says what was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from agent.cameras.health.features import Blocks, ImageMeasures, SmallImage, likeness, measure, share_changed
from agent.cameras.health.timing import TimingReport
from agent.core.types import CameraState

SAMPLE_SECONDS = 0.25  # health samples a frame four times a second

# Dark pixels: real 0..0.11, night included up to 0.93, a frame without light 1.0.
BLACK_SHARE = 0.985
# Bright pixels: real at most 0.06; twice the light and 120 levels more 0.67..1.0. A camera whose normal is
# not known yet must show more: it may look at snow.
OVEREXPOSED_SHARE, OVEREXPOSED_UNKNOWN, WELL_EXPOSED_SHARE = 0.5, 0.8, 0.35
OVEREXPOSED_MORE = 0.3  # a camera that looks at a white wall or snow must gain this much over its normal
# Spread of brightness in the liveliest block: real 10..90, lens covered 0.5..3.9. Detail: real 11..37,
# covered 0.4..1.2.
COVERED_COARSE, COVERED_DETAIL = 6.0, 3.0
# Against its own normal, median over blocks with structure: a white car that fills the road brings
# brightness spread down to 0.4 for 3 s; a cover to 0.05..0.22.
COVERED_RATIO, UNCOVERED_RATIO = 0.3, 0.45
COVERED_PEAK = (
    0.6  # the liveliest block now, against the liveliest normally: real above 0.67, covered 0.06..0.2
)
STRUCTURED_SPREAD, STRUCTURED_BLOCKS = 1.5, 8
# Detail over brightness spread, against its normal: real 0.66..1.6; defocus by a radius of 1/150 of the
# width 0.25, by 1/300 0.53 (not a fault: detectors hardly notice).
BLURRED_RATIO, SHARP_RATIO = 0.45, 0.6
# Likeness to the background, against its normal: real above 0.5 but for 4 s while a car fills the view;
# shifted or turned by a tenth at most 0.35. Below 0.35 normal likeness (mere noise) it cannot be judged.
MOVED_RATIO, IN_PLACE_RATIO, LEAST_LIKENESS = 0.45, 0.65, 0.35
# Equal frames: no more than 0.15 % of area means differ by over 2 levels and 20 % of single pixels by over
# 1. A frozen frame encoded again differs in up to 0.1 % and 16 %; real frames stay within that for 1.2 s
# at most; sensor noise of 1 level alone changes 29 % of single pixels.
EQUAL_LEVELS, EQUAL_SHARE = 2, 0.0015
EQUAL_RAW_LEVELS, EQUAL_RAW_SHARE = 1, 0.2
FROZEN_SECONDS, FROZEN_PATIENCE, FROZEN_LONGEST = 15.0, 3.0, 600.0

LEARNING_SAMPLES = 48  # 12 s: the median of these is the first background, whatever passes by
LEARNING_RATE = 0.25 / 300.0  # later samples count with a time constant of five minutes
ACCEPT_SECONDS = 3600.0


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
    Fault(CameraState.MOVED, 8.0, 5.0, accepted=True),
    Fault(CameraState.BLURRED, 8.0, 5.0, accepted=True),
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
class CameraNormal:
    """What this camera shows when nothing is wrong."""

    size: tuple[int, int]
    fine: Blocks
    coarse: Blocks
    bright: float
    background: NDArray[np.float32]
    likeness: float


@dataclass(frozen=True, slots=True, eq=False)
class EqualRun:
    """The current stretch of equal frames, and the longest that ended by itself (seconds)."""

    anchor: SmallImage | None = None
    since: float = 0.0
    longest: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class HealthState:
    """What is carried from sample to sample."""

    normal: CameraNormal | None = None
    learning: tuple[ImageMeasures, ...] = ()
    stretch: EqualRun = field(default_factory=EqualRun)
    standings: Mapping[CameraState, FaultState] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HealthVerdict:
    """The camera's state by its content, a reason in words, and whether its frames are usable.

    `accepted` names faults that have just become the new normal.
    """

    state: CameraState
    reason: str
    usable: bool
    accepted: frozenset[CameraState] = frozenset()


# Whether a fault shows: yes, no, or (None) in between; and that in words.
Sign = tuple[bool | None, str]
Signs = Mapping[CameraState, Sign]
WELL = HealthVerdict(CameraState.ONLINE, "", True)


def observe(
    state: HealthState, sample: SmallImage, now: float, pace: TimingReport
) -> tuple[HealthState, HealthVerdict]:
    """The state after the sample of `now` (any clock that grows), and what it means."""
    figures = measure(sample.grey, sample.kept)
    like = likeness(figures.edges, state.normal.background) if state.normal else 0.0
    stretch = _stretch(state, sample, now)
    signs = {
        **_signs(state.normal, sample, figures, like, pace),
        CameraState.FROZEN: _frozen(stretch, now),
    }
    standings = {
        fault.state: _stand(state.standings.get(fault.state, FaultState()), fault, signs[fault.state][0], now)
        for fault in FAULTS
    }
    accepted = frozenset(
        fault.state
        for fault in FAULTS
        if fault.accepted
        and standings[fault.state].on
        and now - standings[fault.state].since >= ACCEPT_SECONDS
    )
    if accepted:
        standings.update({name: FaultState() for name in accepted})
        state = replace(state, normal=None, learning=())
    state = replace(state, stretch=stretch, standings=standings)
    if not any(standing.on or standing.turned is not None for standing in standings.values()):
        state = _learn(state, sample, figures, like)
    return state, _verdict(standings, signs, accepted)


def reopened(state: HealthState) -> HealthState:
    """The state for a new connection: faults are judged anew, what is normal is kept."""
    return replace(state, stretch=EqualRun(longest=state.stretch.longest), standings={})


def _stand(standing: FaultState, fault: Fault, sign: bool | None, now: float) -> FaultState:
    """Law 1. A `sign` of None (in between) keeps things as they are, and breaks what was about to change."""
    if sign is None or sign == standing.on:
        return replace(standing, turned=None)
    turned = now if standing.turned is None else standing.turned
    if now - turned >= (fault.leave if standing.on else fault.enter):
        return FaultState(on=not standing.on, since=now)
    return replace(standing, turned=turned)


def _verdict(
    standings: Mapping[CameraState, FaultState], signs: Signs, accepted: frozenset[CameraState]
) -> HealthVerdict:
    on = [fault for fault in FAULTS if standings[fault.state].on]
    if not on:
        return replace(WELL, accepted=accepted) if accepted else WELL
    first = on[0]
    return HealthVerdict(first.state, signs[first.state][1], False, accepted)


def _signs(
    normal: CameraNormal | None, sample: SmallImage, figures: ImageMeasures, like: float, pace: TimingReport
) -> dict[CameraState, Sign]:
    """The sign of each fault in this sample, whose edges agree with the background's to `like` (-1..1)."""
    black = figures.dark >= BLACK_SHARE
    signs: dict[CameraState, Sign] = {
        CameraState.BLACK: (black, f"{figures.dark:.0%} of the frame is dark"),
        CameraState.SLOW: (pace.slow, pace.words),
        CameraState.BAD_TIMESTAMPS: (pace.broken, f"{pace.breaks} broken time stamps in half a minute"),
        CameraState.OVEREXPOSED: _overexposed(normal, figures),
        CameraState.COVERED: _covered(normal, figures, black),
        CameraState.RESIZED: _resized(normal, sample),
    }
    obscured = black or any(signs[name][0] for name in (CameraState.OVEREXPOSED, CameraState.COVERED))
    signs[CameraState.MOVED] = _moved(normal, like, obscured)
    signs[CameraState.BLURRED] = _blurred(normal, figures, obscured)
    return signs


def _frozen(stretch: EqualRun, now: float) -> Sign:
    still = now - stretch.since
    return still >= _patience(stretch), f"the same frame for {still:.0f} s"


def _overexposed(normal: CameraNormal | None, figures: ImageMeasures) -> Sign:
    usual = normal.bright if normal else 0.0
    more = figures.bright - usual
    words = f"{figures.bright:.0%} of the frame is white, normally {usual:.0%}"
    limit = OVEREXPOSED_SHARE if normal else OVEREXPOSED_UNKNOWN
    if figures.bright >= limit and more >= OVEREXPOSED_MORE:
        return True, words
    well = figures.bright < (WELL_EXPOSED_SHARE if normal else limit)
    return (False if well or more < OVEREXPOSED_MORE / 2 else None), words


def _covered(normal: CameraNormal | None, figures: ImageMeasures, black: bool) -> Sign:
    words = "hardly any structure is left in the frame"
    if black:
        return None, words
    if float(figures.coarse.max()) < COVERED_COARSE and figures.detail < COVERED_DETAIL:
        return True, words
    structured = normal.coarse >= STRUCTURED_SPREAD if normal else None
    if normal is None or structured is None or int(structured.sum()) < STRUCTURED_BLOCKS:
        return False, words
    coarse = float(np.median(figures.coarse[structured] / normal.coarse[structured]))
    fine = float(np.median(figures.fine[structured] / np.maximum(normal.fine[structured], 0.1)))
    words = f"{max(coarse, fine):.0%} of the usual structure is left"
    # Something that moves over a plain ground is structure now here, now there; a cover leaves none anywhere.
    peak = float(figures.coarse.max()) / float(normal.coarse.max())
    if max(coarse, fine) < COVERED_RATIO and peak < COVERED_PEAK:
        return True, words
    return (False if max(coarse, fine) > UNCOVERED_RATIO else None), words


def _resized(normal: CameraNormal | None, sample: SmallImage) -> Sign:
    if normal is None or sample.size == normal.size:
        return False, ""
    return True, "frames are {}x{}, normally {}x{}".format(*sample.size, *normal.size)


def _moved(normal: CameraNormal | None, like: float, obscured: bool) -> Sign:
    if normal is None or normal.likeness < LEAST_LIKENESS:
        return False, ""
    words = f"the view agrees with the usual one to {max(like, 0.0):.2f}, normally {normal.likeness:.2f}"
    if obscured:
        return None, words
    if like < MOVED_RATIO * normal.likeness:
        return True, words
    return (False if like > IN_PLACE_RATIO * normal.likeness else None), words


def _blurred(normal: CameraNormal | None, figures: ImageMeasures, obscured: bool) -> Sign:
    if normal is None:
        return False, ""
    structured = normal.coarse >= STRUCTURED_SPREAD
    if int(structured.sum()) < STRUCTURED_BLOCKS:  # a plain wall, a dark night: nothing in it can be sharp
        return False, ""
    fine = np.median(figures.fine[structured] / np.maximum(normal.fine[structured], 0.1))
    coarse = np.median(figures.coarse[structured] / normal.coarse[structured])
    ratio = float(fine / max(float(coarse), 0.1))
    words = f"sharpness is {ratio:.0%} of normal"
    if obscured or coarse < COVERED_RATIO:  # what usually moves there is elsewhere
        return None, words
    if ratio < BLURRED_RATIO:
        return True, words
    return (False if ratio > SHARP_RATIO else None), words


def _patience(stretch: EqualRun) -> float:
    return min(FROZEN_LONGEST, max(FROZEN_SECONDS, FROZEN_PATIENCE * stretch.longest))


def _stretch(state: HealthState, sample: SmallImage, now: float) -> EqualRun:
    """The stretch of equal frames that this sample continues or begins."""
    stretch = state.stretch
    if stretch.anchor is not None and _equal(stretch.anchor, sample):
        return stretch
    ended = now - stretch.since if stretch.anchor is not None else 0.0
    was_frozen = ended >= _patience(stretch)
    longest = stretch.longest if was_frozen else max(stretch.longest, ended)
    return EqualRun(anchor=sample, since=now, longest=longest)


def _equal(one: SmallImage, other: SmallImage) -> bool:
    return (
        share_changed(one.grey, other.grey, EQUAL_LEVELS, one.kept) <= EQUAL_SHARE
        and share_changed(one.raw, other.raw, EQUAL_RAW_LEVELS, one.kept_raw) <= EQUAL_RAW_SHARE
    )


def _learn(state: HealthState, sample: SmallImage, figures: ImageMeasures, like: float) -> HealthState:
    if state.normal is None:
        learning = (*state.learning, figures)
        if len(learning) < LEARNING_SAMPLES:
            return replace(state, learning=learning)
        return replace(state, normal=_first_normal(learning, sample.size), learning=())
    normal, rate = state.normal, np.float32(LEARNING_RATE)
    return replace(
        state,
        normal=CameraNormal(
            size=normal.size,
            fine=normal.fine + rate * (figures.fine - normal.fine),
            coarse=normal.coarse + rate * (figures.coarse - normal.coarse),
            bright=normal.bright + float(rate) * (figures.bright - normal.bright),
            background=normal.background + rate * (figures.edges - normal.background),
            likeness=normal.likeness + float(rate) * (like - normal.likeness),
        ),
    )


def _first_normal(learning: tuple[ImageMeasures, ...], size: tuple[int, int]) -> CameraNormal:
    background = np.median(np.stack([one.edges for one in learning]), axis=0).astype(np.float32)
    return CameraNormal(
        size=size,
        fine=np.median(np.stack([one.fine for one in learning]), axis=0).astype(np.float32),
        coarse=np.median(np.stack([one.coarse for one in learning]), axis=0).astype(np.float32),
        bright=float(np.median([one.bright for one in learning])),
        background=background,
        likeness=float(np.median([likeness(one.edges, background) for one in learning])),
    )
