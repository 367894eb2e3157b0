"""Which part of the view has been plain for a minute while the rest is as it was: something close to the lens. Pure.

What is close is out of focus, so it has no structure of its own, whatever it is (a leaf, a hand, a label, dirt), and it
hides the structure and the motion behind it. The normal's contrast is an anchor, so this is not learnt along.

Laws
----
1. A block is judged where, by the normal's contrast and the light of now, its structure would be seen.
2. A block is plain that had less than PLAIN_RATIO of that contrast in PLAIN_SHARE of the minute's samples: whatever
   passes by has structure at its edges.
3. Blocks that are plain side by side are hidden; what is plain here and there is not. The rest must have kept its
   contrast: else it is fog, night or another view.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from agent.cameras.health.features import (
    BURNT_LEVEL,
    COLUMNS,
    DARK_LEVEL,
    LEAST_DETAIL,
    LEVEL_FLOOR,
    ROWS,
    ImageMeasures,
    Mask,
)
from agent.cameras.health.normals import LEAST_BLOCKS, CameraNormal

EVERY_SECONDS = 2.0
SAMPLES, FEWEST_SAMPLES = 30, 20  # a minute
STALE_SECONDS = 15.0
# Contrast of the anchor's: under a leaf 0.01 to 0.19, beside it 0.4 and more (three videos, median of a minute).
PLAIN_RATIO, PLAIN_SHARE = 0.22, 0.9
KEPT_RATIO = 0.5  # of the contrast of the rest, in its median block
LEAST_PLAIN = 5  # blocks, of 40


@dataclass(frozen=True, slots=True, eq=False)
class CoverSample:
    """Of each block (40,): whether it was judged, whether it was plain; `kept` is the rest's contrast (1: as usual)."""

    at: float
    judged: Mask
    plain: Mask
    kept: float


@dataclass(frozen=True, slots=True, eq=False)
class Cover:
    """The samples of the last minute, and what they say: the share of the judged blocks that are hidden, 0..1."""

    samples: tuple[CoverSample, ...] = ()
    hidden: float = 0.0

    def known(self, now: float) -> bool:
        """Whether there are enough samples, and new ones."""
        return len(self.samples) >= FEWEST_SAMPLES and now - self.samples[-1].at <= STALE_SECONDS

    def after(self, figures: ImageMeasures, normal: CameraNormal | None, now: float) -> Cover:
        """The cover after the sample of `now`; nothing is known of it while no normal is."""
        if normal is None:
            return Cover()
        if self.samples and now - self.samples[-1].at < EVERY_SECONDS:
            return self
        samples = (*self.samples[-SAMPLES + 1 :], _sampled(figures, normal, now))
        return Cover(samples, _hidden(samples))


def _sampled(figures: ImageMeasures, normal: CameraNormal, now: float) -> CoverSample:
    expected = normal.contrast * (figures.level + LEVEL_FLOOR)
    lit = (figures.level >= DARK_LEVEL) & (figures.level <= BURNT_LEVEL)
    judged = lit & (expected >= LEAST_DETAIL)  # noise adds to contrast, so it makes nothing plain
    left = figures.contrast / np.maximum(normal.contrast, 1e-6)
    plain = judged & (left < PLAIN_RATIO)
    rest = left[judged & ~plain]
    kept = float(np.median(rest)) if len(rest) >= LEAST_BLOCKS else 0.0
    return CoverSample(now, np.asarray(judged, np.bool_), np.asarray(plain, np.bool_), kept)


def _hidden(samples: tuple[CoverSample, ...]) -> float:
    """The share of the judged blocks that are plain side by side (law 3)."""
    if len(samples) < FEWEST_SAMPLES or float(np.median([one.kept for one in samples])) < KEPT_RATIO:
        return 0.0
    judged = np.sum([one.judged for one in samples], axis=0)
    often = judged * 2 >= len(samples)
    plain = often & (np.sum([one.plain for one in samples], axis=0) >= PLAIN_SHARE * judged)
    if int(plain.sum()) < LEAST_PLAIN:
        return 0.0
    _, parts = cv2.connectedComponents(plain.reshape(ROWS, COLUMNS).astype(np.uint8), connectivity=4)
    largest = int(np.bincount(parts.reshape(-1))[1:].max())
    return largest / int(often.sum()) if largest >= LEAST_PLAIN else 0.0
