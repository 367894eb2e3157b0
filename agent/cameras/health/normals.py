"""What a camera normally shows: one normal for each view and light, learnt, and recognised again. Pure.

Laws
----
1. A normal follows what the camera shows with a time constant of minutes, but its anchor (sharpness and contrast,
which do not depend on the light) with one of a day: what fails within an hour is not learnt along.
2. A view that the camera comes back to by itself is a stop of a tour, and so are those between.
3. A normal is learnt from samples of one view: one that changed half way begins anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agent.cameras.health.features import (
    BURNT_LEVEL,
    LEAST_DETAIL,
    Blocks,
    ImageMeasures,
    Mask,
    agreement,
    ranked,
)
from agent.cameras.health.light import LightMode

FIRST_SAMPLES = 48  # 12 s: the median of these is the first background, whatever passes by
VIEW_SAMPLES = 24  # of another view: a tour may stay no longer than ten seconds
FOLLOW_SECONDS = 300.0
SETTLE_SECONDS, ANCHOR_SECONDS = 120.0, 86400.0
KEPT_SECONDS = 3600.0  # what a person may have meant is normal after an hour
IN_PLACE = 0.5  # agreement of a block whose structure is where it was
LASTING_SECONDS = 20.0  # and over so long what is not before the camera to stay
RECENT_SECONDS = 1.5  # edges are averaged over so long: drops, noise, leaves and cars average out
GLANCE_SECONDS = 0.25
# The noise's energy in a mean of time constant s over samples every d seconds is tanh(d / 2s) of a sample's, and in the
# median of n samples pi / 2n of it. As shares of that in the mean of the last seconds:
NOISE_RECENT = math.tanh(GLANCE_SECONDS / 2 / RECENT_SECONDS)
NOISE_LASTING = math.tanh(GLANCE_SECONDS / 2 / LASTING_SECONDS) / NOISE_RECENT
NOISE_FOLLOWED = math.tanh(GLANCE_SECONDS / 2 / FOLLOW_SECONDS) / NOISE_RECENT
NOISE_FIRST = math.pi / 2 / FIRST_SAMPLES / NOISE_RECENT
LEAST_USUAL = 0.1  # of noise alone some agree by chance
OVER_ENERGY = 0.25  # of the structure's: half as much has come over it as there was
LEAST_BLOCKS = 8  # with structure, of 40, below which nothing is known of the view
MOST_NORMALS = 24  # presets times modes; 140 kB each
# Likeness to the background, against its normal: real above 0.5 but for 4 s while a car fills the view; shifted or
# turned by a tenth at most 0.35. Below 0.35 normal likeness (mere noise) it cannot be judged.
MOVED_RATIO, IN_PLACE_RATIO, LEAST_LIKENESS = 0.45, 0.65, 0.35


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CameraNormal:
    """What a camera shows in one view and light when nothing is wrong.

    `known`: not merely a view that it was turned to once. `mid`, `level`, `usual` (agreement of each block's edges with
    the background) and its `spread` (mean deviation) follow within minutes; `sharpness`, `contrast`, `shade`
    (brightness spread over brightness) and `flat`
    (how much blocks differ in brightness, over it) are the anchor. `kept` is a background that follows within an hour
    where what is seen is another.
    `age` is in seconds.
    """

    mode: LightMode
    size: tuple[int, int]
    known: bool
    mid: Blocks
    level: Blocks
    bright: float
    background: NDArray[np.float32]
    kept: NDArray[np.float32]
    usual: Blocks
    spread: Blocks
    likeness: float
    steadiness: float
    sharpness: Blocks
    contrast: Blocks
    shade: Blocks
    peak: float
    flat: float
    age: float = 0.0

    @property
    def structured(self) -> Mask:
        """Which blocks (40,) have structure normally."""
        return np.asarray(self.mid >= LEAST_DETAIL, dtype=np.bool_)


def comparison_noise(normal: CameraNormal) -> Blocks:
    """Energy of the noise, of the structure's, where the lasting edges are compared with those kept: of each block
    (40,).

    The mean of the last seconds `usual`ly agrees as well as its noise lets it: to 1 / sqrt(1 + its energy). Longer
    means have less of it; of the first background's what is kept has the square of the weight that is left of it.
    """
    recent = 1.0 / np.square(np.maximum(normal.usual, LEAST_USUAL)) - 1.0
    settled, followed_for = min(normal.age, SETTLE_SECONDS), max(0.0, normal.age - SETTLE_SECONDS)
    weight = math.exp(-settled / SETTLE_SECONDS - followed_for / FOLLOW_SECONDS)
    return np.asarray(
        recent * np.float32(NOISE_LASTING + NOISE_FOLLOWED + NOISE_FIRST * weight**2), dtype=np.float32
    )


def over_the_view(kept_agreed: Blocks, normal: CameraNormal) -> Mask:
    """In which blocks (40,) as much has come over what is kept as noise does not explain, or has taken its place."""
    come = 1.0 / np.square(np.maximum(kept_agreed, 1e-3)) - 1.0
    return np.asarray(come - comparison_noise(normal) > OVER_ENERGY, dtype=np.bool_)


def shade_of(figures: ImageMeasures) -> Blocks:
    """Of each block (40,): the spread of its brightness over its brightness."""
    return np.asarray(figures.coarse / (figures.level + 2.0), dtype=np.float32)


def flatness_of(figures: ImageMeasures) -> float:
    """How much blocks differ in brightness, over the brightness."""
    return float(figures.level.std()) / (float(figures.level.mean()) + 2.0)


def view_likeness(agreed: Blocks, figures: ImageMeasures, normal: CameraNormal) -> float:
    """How well the view is the normal's: median over blocks with structure, here or there, of how they agree."""
    judged = (normal.structured | figures.clear) & (figures.level < BURNT_LEVEL)
    return ranked(agreed[judged] if np.count_nonzero(judged) >= LEAST_BLOCKS else agreed, 0.5)


def fits(agreed: Blocks, figures: ImageMeasures, normal: CameraNormal) -> bool:
    """Whether the view is the normal's; yes where that cannot be known."""
    if normal.likeness < LEAST_LIKENESS:
        return True
    return view_likeness(agreed, figures, normal) > IN_PLACE_RATIO * normal.likeness


def recent_after(
    recent: NDArray[np.float32] | None,
    edges: NDArray[np.float32],
    passed: float,
    seconds: float = RECENT_SECONDS,
) -> NDArray[np.float32]:
    """The mean of the edges over about so many `seconds`, `passed` seconds after the last."""
    if recent is None or passed >= 4 * seconds:
        return edges
    share = np.float32(1.0 - math.exp(-passed / seconds))
    return np.asarray(recent + share * (edges - recent), dtype=np.float32)


def first_normal(
    samples: Sequence[ImageMeasures], size: tuple[int, int], mode: LightMode, *, known: bool
) -> CameraNormal | None:
    """The normal of these samples; None where their halves show different views."""
    background = _median(one.edges for one in samples)
    half = len(samples) // 2
    early, late = (_median(one.edges for one in part) for part in (samples[:half], samples[half:]))
    recents, recent = [], None
    for one in samples:
        recent = recent_after(recent, one.edges, 0.25)
        recents.append(recent)
    figures = _medians(samples)
    agreed = [agreement(one, background) for one in recents]
    usual = _median(agreed)
    normal = CameraNormal(
        mode=mode, size=size, known=known, background=background, kept=background,
        mid=figures["mid"], level=figures["level"], bright=float(np.median([one.bright for one in samples])),
        usual=usual, spread=_mean(np.abs(one - usual) for one in agreed), likeness=1.0, steadiness=1.0,
        sharpness=figures["sharpness"], contrast=figures["contrast"], shade=figures["shade"],
        peak=float(figures["shade"].max()), flat=float(np.median([flatness_of(one) for one in samples])),
    )  # fmt: skip
    pairs = list(zip(samples, recents, strict=True))
    likes = [view_likeness(one, sample, normal) for one, sample in zip(agreed, samples, strict=True)]
    steady = [view_likeness(agreement(one.edges, now), one, normal) for one, now in pairs]
    normal = replace(normal, likeness=float(np.median(likes)), steadiness=float(np.median(steady)))
    halves = view_likeness(agreement(early, late), samples[0], normal)
    return None if normal.likeness >= LEAST_LIKENESS and halves < MOVED_RATIO * normal.likeness else normal


def followed(
    normal: CameraNormal,
    figures: ImageMeasures,
    agreed: Blocks,
    kept_agreed: Blocks,
    *,
    overlaid: bool,
    steady: float,
    passed: float,
) -> CameraNormal:
    """The normal after one more sample without a fault, `passed` seconds after the last.

    The edges of the last seconds `agreed` with it so, those of the last half a minute with what is kept. `overlaid`:
    other edges lie over the view, so that what is kept may not be what lies there.
    """
    fast = np.float32(min(1.0, passed / FOLLOW_SECONDS))
    settling = normal.age < SETTLE_SECONDS
    slow = np.float32(min(1.0, passed / (SETTLE_SECONDS if settling else ANCHOR_SECONDS)))
    in_place = kept_agreed >= IN_PLACE
    if overlaid and not settling:
        in_place &= ~over_the_view(kept_agreed, normal)
    rate = np.where(
        in_place[:, None], slow if settling else fast, np.float32(min(1.0, passed / KEPT_SECONDS))
    )
    like = view_likeness(agreed, figures, normal)
    clear = figures.clear & normal.structured
    shade = shade_of(figures)
    return replace(
        normal,
        mid=normal.mid + fast * (figures.mid - normal.mid),
        level=normal.level + fast * (figures.level - normal.level),
        bright=normal.bright + float(fast) * (figures.bright - normal.bright),
        background=normal.background + fast * (figures.edges - normal.background),
        kept=normal.kept + rate * (figures.edges - normal.kept),
        usual=normal.usual + fast * (agreed - normal.usual),
        spread=normal.spread + fast * (np.abs(agreed - normal.usual) - normal.spread),
        likeness=normal.likeness + float(fast) * (like - normal.likeness),
        steadiness=normal.steadiness + float(fast) * (steady - normal.steadiness),
        sharpness=np.where(
            clear, normal.sharpness + slow * (figures.sharpness - normal.sharpness), normal.sharpness
        ),
        contrast=normal.contrast + slow * (figures.contrast - normal.contrast),
        shade=normal.shade + slow * (shade - normal.shade),
        peak=normal.peak + float(slow) * (float(shade.max()) - normal.peak),
        flat=normal.flat + float(slow) * (flatness_of(figures) - normal.flat),
        age=normal.age + passed,
    )


def best_fit(
    normals: Sequence[CameraNormal],
    recent: NDArray[np.float32],
    figures: ImageMeasures,
    size: tuple[int, int],
) -> tuple[float, int]:
    """How well the view fits that of the best normal (1: as usual), and the index of that; (0, 0) for none."""
    return max(
        (
            (view_likeness(agreement(recent, one.background), figures, one) / one.likeness, index)
            for index, one in enumerate(normals)
            if one.size == size and one.likeness >= LEAST_LIKENESS
        ),
        default=(0.0, 0),
    )


def added(normals: tuple[CameraNormal, ...], normal: CameraNormal) -> tuple[CameraNormal, ...]:
    """The normals and one more; of too many the one seen once goes first, else the youngest."""
    if len(normals) >= MOST_NORMALS:
        least = min(range(len(normals)), key=lambda index: (normals[index].known, normals[index].age))
        normals = normals[:least] + normals[least + 1 :]
    return (*normals, normal)


def _medians(samples: Sequence[ImageMeasures]) -> dict[str, Blocks]:
    return {
        "mid": _median(one.mid for one in samples),
        "level": _median(one.level for one in samples),
        "sharpness": _median(one.sharpness for one in samples),
        "contrast": _median(one.contrast for one in samples),
        "shade": _median(shade_of(one) for one in samples),
    }


def _median(planes: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.asarray(np.median(np.stack(list(planes)), axis=0), dtype=np.float32)


def _mean(planes: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.asarray(np.mean(np.stack(list(planes)), axis=0), dtype=np.float32)
