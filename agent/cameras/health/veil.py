"""The share of contrast that fog, dirt or droplets left over the last minute. Pure.

A veil lies over all that stands still; a car that passes before it has contrast of its own. So what counts is the
median over time, in which whatever is there for less than half of it has no say.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from agent.cameras.health.features import Blocks, ImageMeasures, Mask, agreement, ranked
from agent.cameras.health.normals import CameraNormal, flatness_of

EVERY_SECONDS = 2.0
SAMPLES = 30  # a minute
LEAST_SAMPLES = 5
STALE_SECONDS = 15.0  # without a new one, nothing is known any more
LIT_LEVEL = 40.0  # the mean brightness below which contrast is noise
GLARING_MORE = 0.15  # burnt out more than normally: the sun in the lens is a veil that passes


@dataclass(frozen=True, slots=True)
class VeilSample:
    """One sample against its normal (1: as usual): contrast, how much blocks differ in brightness, how edges agree."""

    at: float
    contrast: float
    flatness: float
    agreement: float


@dataclass(frozen=True, slots=True)
class Veil:
    """The samples of the last minute."""

    samples: tuple[VeilSample, ...] = ()

    def known(self, now: float) -> bool:
        """Whether there are enough of them, and new ones."""
        return len(self.samples) >= LEAST_SAMPLES and now - self.samples[-1].at <= STALE_SECONDS

    @property
    def contrast(self) -> float:
        """The contrast left, of the usual: 1 - f under a veil of f."""
        return median(one.contrast for one in self.samples)

    @property
    def flatness(self) -> float:
        """How much blocks differ in brightness, of the usual."""
        return median(one.flatness for one in self.samples)

    @property
    def agreement(self) -> float:
        """How the edges agree with the background's, of the usual."""
        return median(one.agreement for one in self.samples)

    def after(self, figures: ImageMeasures, normal: CameraNormal | None, now: float) -> Veil:
        """The veil after the sample of `now`; nothing is known of it by night, and where the sun blinds."""
        if normal is None:
            return Veil()
        if self.samples and now - self.samples[-1].at < EVERY_SECONDS:
            return self
        if float(figures.level.mean()) < LIT_LEVEL or figures.bright - normal.bright >= GLARING_MORE:
            return self
        return Veil((*self.samples[-SAMPLES + 1 :], _sampled(figures, normal, now)))


def _sampled(figures: ImageMeasures, normal: CameraNormal, now: float) -> VeilSample:
    structured = normal.structured
    usual = ranked(normal.usual[structured], 0.5)
    return VeilSample(
        at=now,
        contrast=ratio(figures.contrast, normal.contrast, structured, 0.75),
        flatness=flatness_of(figures) / max(normal.flat, 1e-6),
        agreement=recognised(figures, normal) / max(usual, 1e-6),
    )


def recognised(figures: ImageMeasures, normal: CameraNormal) -> float:
    """How the edges agree with the background's, median over blocks with structure: -1..1, however faint they are."""
    structured = normal.structured
    return ranked(agreement(figures.edges, normal.background)[structured], 0.5)


def ratio(now: Blocks, normal: Blocks, judged: Mask, rank: float) -> float:
    """That rank (0..1), over the blocks judged, of what is now over what is normal."""
    least = 1e-6
    return ranked(now[judged] / normal[judged].clip(min=least), rank)
