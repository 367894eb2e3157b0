"""In which light a camera sees: by day, by night, or in infrared. Pure.

Cameras that switch to infrared send grey: their colours are exactly equal, whatever is in the view. Every other
scene has some colour, if little: in three real videos blocks differ in colour by 0.28, 0.31 and 1.05 times what they
differ in brightness (medians; 0.05 at the least, on a plain grey road, where their colours still differ by 3 levels),
and a darker exposure, a veil or fog scale both alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from agent.cameras.health.features import ImageMeasures

MODE_SECONDS = 8.0  # headlights that pass make no day
NIGHT_SHARE, DAY_SHARE = 0.5, 0.35  # of dark pixels
# Colour over structure: grey 0..0.03 (noise of each channel by itself), real colour 0.26 and more.
GREY_RATIO, COLOUR_RATIO = 0.05, 0.1
GREY_CHROMA = 1.5  # levels: a white van on a grey road lowers the ratio, not the colour of the rest
LEAST_STRUCTURE = 6.0  # in less, the rest of the noise could be taken for colour
WASHED_OUT = 0.35  # of white pixels: what is burnt out is grey, too


class LightMode(str, Enum):
    """What lights the view, as published."""

    DAY = "day"
    NIGHT = "night"
    INFRARED = "infrared"


@dataclass(frozen=True, slots=True)
class LightState:
    """The mode, None before it is known; the one that is seen instead, and since when (seconds)."""

    mode: LightMode | None = None
    other: LightMode | None = None
    since: float = 0.0

    @property
    def settled(self) -> bool:
        """Whether nothing speaks for another mode."""
        return self.mode is not None and self.other is None


def light_after(light: LightState, figures: ImageMeasures, chroma: float, now: float) -> LightState:
    """The light after the sample of `now`: another mode must be seen for MODE_SECONDS, the first one counts at once."""
    seen = _mode(light.mode, figures, chroma)
    if light.mode is None:
        return LightState(mode=seen)
    if seen is None or seen is light.mode:
        return LightState(mode=light.mode)
    if seen is not light.other:
        return LightState(light.mode, seen, now)
    return LightState(mode=seen) if now - light.since >= MODE_SECONDS else light


def _mode(mode: LightMode | None, figures: ImageMeasures, chroma: float) -> LightMode | None:
    """The mode that a sample speaks for; None where it cannot be told."""
    dark = figures.dark >= NIGHT_SHARE or (mode is LightMode.NIGHT and figures.dark > DAY_SHARE)
    coloured = LightMode.NIGHT if dark else LightMode.DAY
    structure = float(figures.coarse.max())
    if figures.bright >= WASHED_OUT:
        return None
    if structure < LEAST_STRUCTURE:  # too plain to know colour from noise
        return coloured if dark and mode is not LightMode.INFRARED else None
    ratio = chroma / structure
    if ratio <= GREY_RATIO and chroma <= GREY_CHROMA:
        return LightMode.INFRARED
    if mode is LightMode.INFRARED and not ratio >= COLOUR_RATIO:  # or unknown
        return None
    return coloured
