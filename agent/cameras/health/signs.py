"""The evidence for each fault in one sample: present, absent or undecidable, with a text. Pure.

The constants come from real videos (a road from above, a table, a corridor), read four times a second, and from faults
planted in them; each says what was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.cameras.health.cover import Cover, remains
from agent.cameras.health.features import (
    BURNT_LEVEL,
    DARK_LEVEL,
    NOISE_CLEAR,
    Blocks,
    ImageMeasures,
    Mask,
    SmallImage,
    agreement,
    displaced,
    ranked,
)
from agent.cameras.health.normals import (
    IN_PLACE_RATIO,
    LASTING_SECONDS,
    LEAST_BLOCKS,
    LEAST_LIKENESS,
    MOVED_RATIO,
    CameraNormal,
    over_the_view,
    shade_of,
    view_likeness,
)
from agent.cameras.health.stillness import BlackRun, EqualRun
from agent.cameras.health.timing import TimingReport
from agent.cameras.health.veil import GLARING_MORE, LIT_LEVEL, Veil, ratio, recognised
from agent.core.types import CameraState

# Bright pixels: real at most 0.06; twice the light and 120 levels more 0.67..1.0. A camera whose normal is
# not known yet must show more: it may look at snow.
OVEREXPOSED_SHARE, OVEREXPOSED_UNKNOWN, WELL_EXPOSED_SHARE = 0.5, 0.8, 0.35
OVEREXPOSED_MORE = 0.3  # a camera that looks at a white wall or snow must gain this much over its normal
# Spread of brightness in the liveliest block: real 10..90, lens covered 0.5..3.9. Detail: real 11..37,
# covered 0.4..1.2.
COVERED_COARSE, COVERED_DETAIL = 6.0, 3.0
# Against its own normal, median over blocks with structure: a white car that fills the road brings
# it down to 0.4 for 3 s; a cover to 0.05..0.22. And the liveliest block now, against the liveliest normally: real above
# 0.67, covered 0.06..0.2.
COVERED_RATIO, UNCOVERED_RATIO, COVERED_PEAK = 0.3, 0.45, 0.6
RECOGNISED_RATIO = (
    0.5  # likeness to the background, against its normal: fog that leaves a seventh of the contrast 0.8
)
# Contrast against the anchor, in the block that has lost least but for a quarter: it is 1 - f under a veil of f.
FOGGED_RATIO, CLEAR_RATIO, FOGGED_FLAT = 0.4, 0.55, 0.6
# Sharpness against the anchor: real 0.7..1.2; defocus by a radius of 1/150 of the width 0.25, by 1/300 0.5 (not a
# fault: detectors hardly notice).
BLURRED_RATIO, SHARP_RATIO = 0.45, 0.6
LEAST_SHARP_DETAIL = 0.7  # levels: half of the least structure, which defocus leaves
# Agreement of a block's edges with the background, against its normal. A quarter of the view is a person at arm's
# length.
LOST_DROP, LOST_SPREADS, LOST_RATIO, OBSTRUCTED_SHARE, FREE_SHARE = 0.25, 5.0, 0.4, 0.25, 0.15
THROUGH_RATIO = (
    0.5  # structure left beneath what has come, of the normal's: what covers half of a block leaves half
)
HIDDEN_SHARE, UNHIDDEN_SHARE = (
    0.2,
    0.12,
)  # of the blocks with structure: under a leaf over 40 % of the view 0.27 to 0.31
STEADY_RATIO = 0.6  # of its normal likeness to itself two seconds ago

# Whether a fault shows: yes, no, or (None) in between or not to be told; and that in words.
Sign = tuple[bool | None, str]
Signs = Mapping[CameraState, Sign]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SampleLook:
    """What one sample shows, and what is normal for it (None: not known).

    `recent` (40, 360) are the edges of the last seconds, `lasting` of the last half a minute, `agreed` and
    `kept_agreed` (40,) how these and those agree with the normal's in each block, `steady` how this sample's edges
    agree with those of the last seconds.
    """

    now: float
    sample: SmallImage
    figures: ImageMeasures
    recent: NDArray[np.float32]
    lasting: NDArray[np.float32]
    agreed: Blocks
    kept_agreed: Blocks
    steady: float
    normal: CameraNormal | None
    stretch: EqualRun
    black: BlackRun
    veil: Veil
    cover: Cover
    pace: TimingReport

    @property
    def is_dark(self) -> bool:
        """Whether most of the view is dark, and usually."""
        return self.figures.dark >= 0.5 and (self.black.usually_dark or self.normal is None)

    @property
    def readable(self) -> bool:
        """Whether enough structure stands out from the noise to recognise a view by."""
        return int(self.figures.clear.sum()) >= LEAST_BLOCKS // 2

    @property
    def glaring(self) -> bool:
        """Whether much more is burnt out than normally."""
        usual = self.normal.bright if self.normal else 0.0
        return self.figures.bright - usual >= GLARING_MORE

    @property
    def moves(self) -> bool:
        """Whether the view changes faster than it usually does."""
        return self.normal is not None and self.steady < STEADY_RATIO * self.normal.steadiness

    @property
    def like(self) -> float:
        """Likeness of the view to the normal one, 1 where that is as usual."""
        normal = self.normal
        if normal is None or normal.likeness < LEAST_LIKENESS:
            return 1.0
        return view_likeness(self.agreed, self.figures, normal) / normal.likeness


def signs_of(look: SampleLook) -> dict[CameraState, Sign]:
    """The sign of each fault."""
    like = look.like
    signs: dict[CameraState, Sign] = {
        CameraState.BLACK: _black(look),
        CameraState.FROZEN: (
            look.stretch.frozen(look.now),
            look.stretch.words(look.now),
        ),
        CameraState.SLOW: (look.pace.slow, look.pace.words),
        CameraState.BAD_TIMESTAMPS: (
            look.pace.broken,
            f"{look.pace.breaks} broken time stamps in half a minute",
        ),
        CameraState.OVEREXPOSED: _overexposed(look),
        CameraState.COVERED: _covered(look),
        CameraState.RESIZED: _resized(look),
    }
    obscured = (
        look.black.since is not None
        or bool(signs[CameraState.COVERED][0])
        or signs[CameraState.OVEREXPOSED][0] is not False
        or look.glaring
    )
    lost = 0.0 if obscured or look.normal is None else _lost(look, look.normal)
    elsewhere = None if obscured or look.normal is None else _displaced(look, look.normal, like, lost)
    hidden = obscured or bool(elsewhere)  # another view has another sharpness and contrast
    signs[CameraState.BLURRED] = _blurred(look, hidden)
    signs[CameraState.FOGGED] = _fogged(look)
    signs[CameraState.MOVED] = _moved(look, like, obscured, elsewhere)
    signs[CameraState.OBSTRUCTED] = _obstructed(look, lost, obscured, elsewhere)
    return signs


def untold(look: SampleLook, overlaid: bool) -> str:
    """Why faults of the view cannot be told just now, "" where they can."""
    if look.black.since is not None:
        waits = look.now - look.black.since < look.black.patience
        return "it may be a dark night, so it is unknown whether the camera is black" if waits else ""
    if look.normal is None:
        return "the normal view in this light is not known yet, so it is unknown whether the camera is moved or blurred"
    if look.glaring:
        return "too much glare to detect whether the camera is moved, blurred, fogged or obstructed"
    if look.is_dark and not look.readable:
        return "too dark to detect whether the camera is moved, blurred or covered"
    if int(look.normal.structured.sum()) < LEAST_BLOCKS:
        return "too little structure in the view to detect whether the camera is moved or blurred"
    if look.moves and look.like < IN_PLACE_RATIO:
        return "the view keeps moving, so it is unknown whether the camera is moved"
    if UNHIDDEN_SHARE <= look.cover.hidden < HIDDEN_SHARE and look.cover.known(look.now):
        return "too little structure in a part of the view to detect whether something hides it"
    if overlaid:
        return "new edges over the view may be shadows, or a web or dirt on the lens"
    if look.is_dark or float(look.figures.level.mean()) < LIT_LEVEL:
        return "too dark to detect whether the camera is fogged or covered"
    return ""


def _black(look: SampleLook) -> Sign:
    since = look.black.since
    words = f"{look.figures.dark:.0%} of the frame is dark"
    if since is None:
        return False, words
    return (True if look.now - since >= look.black.patience else None), words


def _overexposed(look: SampleLook) -> Sign:
    normal, bright = look.normal, look.figures.bright
    usual = normal.bright if normal else 0.0
    more = bright - usual
    words = f"{bright:.0%} of the frame is white, normally {usual:.0%}"
    limit = OVEREXPOSED_SHARE if normal else OVEREXPOSED_UNKNOWN
    if bright >= limit and more >= OVEREXPOSED_MORE:
        return True, words
    well = bright < (WELL_EXPOSED_SHARE if normal else limit)
    return (False if well or more < OVEREXPOSED_MORE / 2 else None), words


def _covered(look: SampleLook) -> Sign:
    normal, figures = look.normal, look.figures
    words = "nearly no structure is left in the frame"
    if look.black.since is not None or look.is_dark:
        return None, words
    plain = float(figures.coarse.max()) < COVERED_COARSE and figures.detail < COVERED_DETAIL
    if normal is None or int(normal.structured.sum()) < LEAST_BLOCKS:
        return plain, words
    if plain:
        return (None if _recognised(look, normal) else True), words
    structured = normal.structured
    shade = shade_of(figures)
    left = max(
        ratio(shade, normal.shade, structured, 0.5),
        ratio(figures.contrast, normal.contrast, structured, 0.5),
    )
    words = f"{left:.0%} of the usual structure is left"
    # Something that moves over a plain ground is structure now here, now there; a cover leaves none anywhere.
    peak = float(shade.max()) / max(normal.peak, 1e-6)
    if left < COVERED_RATIO and peak < COVERED_PEAK:
        # A cover has no sharp edges; another, plainer view has some.
        return (None if look.readable or _recognised(look, normal) else True), words
    return (False if left > UNCOVERED_RATIO else None), words


def _recognised(look: SampleLook, normal: CameraNormal) -> bool:
    """Whether the edges are still the background's, however faint: at once, since a cover is put on at once."""
    usual = ranked(normal.usual[normal.structured], 0.5)
    return recognised(look.figures, normal) >= RECOGNISED_RATIO * usual


def _resized(look: SampleLook) -> Sign:
    normal, sample = look.normal, look.sample
    if normal is None or sample.size == normal.size:
        return False, ""
    return True, "frames are {}x{}, normally {}x{}".format(*sample.size, *normal.size)


def _blurred(look: SampleLook, obscured: bool) -> Sign:
    normal, figures = look.normal, look.figures
    if normal is None:
        return False, ""
    least = max(LEAST_SHARP_DETAIL, NOISE_CLEAR * figures.noise)
    judged = (
        normal.structured & (figures.mid >= least) & (figures.level < BURNT_LEVEL) & (normal.sharpness > 0)
    )
    if obscured or int(judged.sum()) < LEAST_BLOCKS:
        return None, "sharpness is not known"
    # Defocus takes the sharpness of all blocks; noise that comes, or a thing that moves, that of some.
    left = ratio(figures.sharpness, normal.sharpness, judged, 0.5)
    words = f"sharpness is {left:.0%} of normal"
    if left < BLURRED_RATIO and ratio(figures.sharpness, normal.sharpness, judged, 0.75) < SHARP_RATIO:
        return True, words
    return (False if left > SHARP_RATIO else None), words


def _fogged(look: SampleLook) -> Sign:
    normal, veil = look.normal, look.veil
    if normal is None or int(normal.structured.sum()) < LEAST_BLOCKS:
        return False, ""
    if not veil.known(look.now):
        return None, "contrast is not known"
    left = veil.contrast
    words = f"{left:.0%} of the usual contrast is left: fog, dirt or droplets on the lens, or fog in the air"
    if left < FOGGED_RATIO and veil.flatness < FOGGED_FLAT and veil.agreement >= RECOGNISED_RATIO:
        return True, words
    return (False if left > CLEAR_RATIO else None), words


def _displaced(look: SampleLook, normal: CameraNormal, like: float, lost: float) -> bool | None:
    """Whether the view is another than the normal one; None where there is no need to know."""
    if like >= MOVED_RATIO and lost < OBSTRUCTED_SHARE:
        return None
    return displaced(look.recent, normal.background, look.figures.level < BURNT_LEVEL)


def _moved(look: SampleLook, like: float, obscured: bool, elsewhere: bool | None) -> Sign:
    normal = look.normal
    if normal is None or normal.likeness < LEAST_LIKENESS:
        return False, ""
    agreed = max(like, 0.0) * normal.likeness
    words = f"the view agrees with the usual one to {agreed:.2f}, normally {normal.likeness:.2f}"
    if not normal.known and like > IN_PLACE_RATIO:
        return True, "the view is not the usual one"
    if obscured or not look.readable:
        return None, words
    if like > IN_PLACE_RATIO:
        return False, words  # it is recognised, whatever moves in it
    if look.moves:
        return None, words
    if like < MOVED_RATIO and elsewhere:
        return True, words
    return (None if elsewhere else False), words


def _obstructed(look: SampleLook, lost: float, obscured: bool, elsewhere: bool | None) -> Sign:
    normal = look.normal
    if normal is None or obscured or normal.likeness < LEAST_LIKENESS or not normal.known:
        return None, ""
    words = f"something hides {lost:.0%} of the view"
    hidden = look.cover.hidden if look.cover.known(look.now) else 0.0
    if hidden >= HIDDEN_SHARE:  # for a minute, whatever passes by just now
        return True, f"something close hides {hidden:.0%} of what is usually seen"
    if hidden >= UNHIDDEN_SHARE:
        return None, words
    if lost < FREE_SHARE or elsewhere:
        return False, words
    return (True if lost >= OBSTRUCTED_SHARE and elsewhere is False else None), words


def _lost(look: SampleLook, normal: CameraNormal) -> float:
    """The share of the blocks whose edges are not the background's, nor beneath others: something is before them."""
    figures = look.figures
    lit = (figures.level >= DARK_LEVEL) & (figures.level <= BURNT_LEVEL)
    steady = normal.structured & (normal.usual >= 0.5)
    judged = lit & (steady | (figures.clear & ~normal.structured))
    if int((judged & steady).sum()) < LEAST_BLOCKS:
        return 0.0
    usual = np.maximum(normal.usual, 0.5)
    least = np.maximum(LOST_RATIO * usual, usual - np.maximum(LOST_DROP, LOST_SPREADS * normal.spread))
    lost = agreement(look.lasting, normal.background) < least
    if _shows_through(look, normal, judged & steady & lost):
        return 0.0
    return float(lost[judged].mean())


def overlaid(look: SampleLook) -> bool:
    """Whether new edges lie over a quarter of the view that shows through them: shadows, or a web."""
    normal = look.normal
    if normal is None or not look.cover.has_followed(LASTING_SECONDS):
        return False  # the mean is of another view, too
    judged = normal.structured & (look.figures.level >= DARK_LEVEL) & (look.figures.level <= BURNT_LEVEL)
    over = judged & over_the_view(look.kept_agreed, normal)
    if int(judged.sum()) < LEAST_BLOCKS or int(over.sum()) < OBSTRUCTED_SHARE * int(judged.sum()):
        return False
    return _shows_through(look, normal, over)


def _shows_through(look: SampleLook, normal: CameraNormal, changed: Mask) -> bool:
    """Whether the normal's structure is left in the blocks that have `changed`, beneath what has come there.

    In their median: in one block what has come agrees with what was there by chance.
    """
    found = remains(look.figures, look.lasting, normal, normal.structured) if changed.any() else None
    return found is not None and float(np.median(found[0][changed])) >= THROUGH_RATIO
