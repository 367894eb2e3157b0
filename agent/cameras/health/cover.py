"""Which part of the view has been hidden for a minute while the rest is as it was: something close to the lens. Pure.

What is close is out of focus, so it brings little structure of its own, whatever it is (a leaf, a hand, a cloth, dirt),
and it hides the structure and the motion behind it.

Laws
----
1. A block is judged where its structure would be seen in the light of now: at once where it stands out by itself, and
   in the mean of a third of a minute, in which noise averages out, where it is fainter.
2. A block is hidden that has next to nothing of the normal's contrast, or in whose mean the normal's structure is gone
   and no other has come: shadows, wind, rain and whatever stands there in focus leave or bring some.
3. Blocks count that are hidden in HIDDEN_TIMES of the minute's samples, side by side; what is plain here and there is
   not. The rest must be as it was: else it is fog, night or another view.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.cameras.health.features import (
    BLOCKS,
    BURNT_LEVEL,
    COLUMNS,
    DARK_LEVEL,
    LEAST_DETAIL,
    LEVEL_FLOOR,
    ROWS,
    Blocks,
    ImageMeasures,
    Mask,
)
from agent.cameras.health.normals import IN_PLACE, LEAST_BLOCKS, CameraNormal, comparison_noise

EVERY_SECONDS = 2.0
SAMPLES, FEWEST_SAMPLES = 30, 20  # a minute
STALE_SECONDS = 15.0
HIDDEN_TIMES = 0.6  # with the third of a minute that a mean takes to change, a minute in all
# Contrast of the anchor's: under a leaf 0.01 to 0.19, beside it 0.4 and more (three videos, median of a minute).
PLAIN_RATIO = 0.22
KEPT_RATIO = 0.5  # of the contrast of the rest, in its median block
LEAST_PLAIN = 5  # blocks, of 40
# Agreement in the mean of 1.5 s from which structure shows in that of 20 s: at 0.3 it has a tenth of the noise's
# energy, and 1.3 times what is left of that in a mean of 13 times as many samples.
FAINT_USUAL = 0.3
# Structure left, of the normal's: what is hidden but for a quarter of a block keeps a quarter. Energy brought, beyond
# the noise's: nothing at all is 0, and what was shifted aside, or is another thing like it, 1.
GONE_RATIO, BROUGHT_ENERGY = 0.25, 0.5


@dataclass(frozen=True, slots=True, eq=False)
class CoverSample:
    """Of each block (40,): whether it was judged, and was hidden; `kept` is the rest's contrast (1: as usual)."""

    at: float
    judged: Mask
    hidden: Mask
    kept: float


@dataclass(frozen=True, slots=True, eq=False)
class Cover:
    """The samples of the last minute, and what they say: the share of the judged blocks that are hidden, 0..1."""

    samples: tuple[CoverSample, ...] = ()
    hidden: float = 0.0

    def known(self, now: float) -> bool:
        """Whether there are enough samples, and new ones."""
        return len(self.samples) >= FEWEST_SAMPLES and now - self.samples[-1].at <= STALE_SECONDS

    def has_followed(self, seconds: float) -> bool:
        """Whether this view in this light has been looked at for so long."""
        return len(self.samples) * EVERY_SECONDS > min(seconds, (SAMPLES - 1) * EVERY_SECONDS)

    def after(
        self, figures: ImageMeasures, lasting: NDArray[np.float32], normal: CameraNormal | None, now: float
    ) -> Cover:
        """The cover after the sample of `now`, before which the edges were `lasting` (40, 360) for a while.

        Nothing is known of it while no normal is.
        """
        if normal is None:
            return Cover()
        if self.samples and now - self.samples[-1].at < EVERY_SECONDS:
            return self
        samples = (*self.samples[-SAMPLES + 1 :], _sampled(figures, lasting, normal, now))
        return Cover(samples, _hidden(samples))


def _sampled(
    figures: ImageMeasures, lasting: NDArray[np.float32], normal: CameraNormal, now: float
) -> CoverSample:
    lit = (figures.level >= DARK_LEVEL) & (figures.level <= BURNT_LEVEL)
    plainly = lit & (normal.contrast * (figures.level + LEVEL_FLOOR) >= LEAST_DETAIL)
    left = figures.contrast / np.maximum(normal.contrast, 1e-6)
    plain = plainly & (left < PLAIN_RATIO)  # noise adds to contrast, so it makes nothing plain
    rest = left[plainly & ~plain]
    kept = float(np.median(rest)) if len(rest) >= LEAST_BLOCKS else 0.0
    faintly = lit & (normal.usual >= FAINT_USUAL)
    hidden = plain | (faintly & _gone(figures, lasting, normal, faintly))
    return CoverSample(now, np.asarray(plainly | faintly, np.bool_), np.asarray(hidden, np.bool_), kept)


def remains(
    figures: ImageMeasures, lasting: NDArray[np.float32], normal: CameraNormal, judged: Mask
) -> tuple[Blocks, Blocks] | None:
    """How much of the normal's structure is left in each block (40,), and how much has come that is none of it.

    `left` is the regression of the lasting edges on the normal's, `brought` the size of the rest, both in the normal's
    size. The blocks `judged` that are as they were say how the whole is scaled; one that is darker than normally has
    less left. None where too few are as they were.
    """
    energy = np.maximum(np.einsum("ij,ij->i", normal.kept, normal.kept), 1e-9)
    left = np.einsum("ij,ij->i", lasting, normal.kept) / energy
    brought = np.sqrt(np.maximum(np.einsum("ij,ij->i", lasting, lasting) / energy - left**2, 0.0))
    in_place = judged & (left > IN_PLACE * np.hypot(left, brought))
    if int(in_place.sum()) < LEAST_BLOCKS:
        return None
    scale = np.float32(np.median(left[in_place]))
    darker = np.maximum(1.0, (normal.level + LEVEL_FLOOR) / (figures.level + LEVEL_FLOOR))
    return left * darker / scale, brought / scale


def _gone(figures: ImageMeasures, lasting: NDArray[np.float32], normal: CameraNormal, judged: Mask) -> Mask:
    """In which blocks (40,) the normal's structure is gone, and no other has come."""
    found = remains(figures, lasting, normal, judged)
    if found is None:
        return np.zeros(BLOCKS, dtype=np.bool_)
    left, brought = found
    come = np.square(brought) - comparison_noise(normal)
    return np.asarray((left < GONE_RATIO) & (come < BROUGHT_ENERGY), dtype=np.bool_)


def _hidden(samples: tuple[CoverSample, ...]) -> float:
    """The share of the judged blocks that are hidden side by side (law 3)."""
    if len(samples) < FEWEST_SAMPLES or float(np.median([one.kept for one in samples])) < KEPT_RATIO:
        return 0.0
    judged = np.sum([one.judged for one in samples], axis=0)
    often = judged * 2 >= len(samples)
    hidden = often & (np.sum([one.hidden for one in samples], axis=0) >= HIDDEN_TIMES * judged)
    if int(hidden.sum()) < LEAST_PLAIN:
        return 0.0
    _, parts = cv2.connectedComponents(hidden.reshape(ROWS, COLUMNS).astype(np.uint8), connectivity=4)
    largest = int(np.bincount(parts.reshape(-1))[1:].max())
    return largest / int(often.sum()) if largest >= LEAST_PLAIN else 0.0
