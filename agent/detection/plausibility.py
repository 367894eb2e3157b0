"""Decides whether a model's boxes can be objects: by boxes of a trial image or of live frames.

Their sizes have to be plausible, and most of what they hold has to be found again where it is shown alone
(`placement`).
Pure; a model whose layout is right and whose input is wrong (another order of channels, another scale) finds nothing
or nonsense, and no shape shows it.
"""

from __future__ import annotations

from enum import Enum

import numpy as np

from agent.detection.layouts.layout import Candidates
from agent.detection.layouts.values import odd_boxes

ENOUGH_BOXES = 30
ENOUGH_FRAMES = 5
MOST_ODD = 0.2
"""Share of odd boxes up to which a model counts as verified; real ones have a few at the edges."""

TOO_ODD = 0.5
"""Share of odd boxes above which a model counts as implausible; between the two more frames are awaited."""

ENOUGH_SHOWN, MOST_SHOWN = 8, 24
"""Boxes that are shown alone before a model is verified, and before that is given up."""

CLEARLY, IN_THE_END = 0.75, 0.6
"""The share of them that is found again from which on a model is verified: so far, and of MOST_SHOWN. (Of large and
square objects a wrong one may have nearly half, and would pass one half at some time.)"""

EXCHANGED = 0.8
"""Share of boxes in the quarter that the image's would come to with x and y exchanged, above which they are."""


class Verification(str, Enum):
    """What is known of a model's boxes."""

    UNVERIFIED = "unverified"
    VERIFIED = "verified"
    IMPLAUSIBLE = "implausible"


class BoxCheck:
    """Collects boxes until there are enough to judge the model by. Belongs to one thread at a time."""

    def __init__(self, classes: int, *, doubted: str = "", refuted: str = "") -> None:
        """`doubted` speaks against the model, `refuted` so that no box can verify it."""
        self.state = Verification.UNVERIFIED
        self.reason = refuted or doubted or "no boxes found yet that it could be judged by"
        self._classes, self._settled = classes, bool(refuted)
        self._boxes = self._odd = self._frames = self._again = 0
        self.shown = 0
        """How many boxes were shown alone."""

    @property
    def undecided(self) -> bool:
        """Whether further boxes may change the state."""
        return self.state is Verification.UNVERIFIED and not self._settled

    def add_trial(self, found: Candidates, size: tuple[int, int], *, placed: bool) -> None:
        """Take boxes of the trial image, in an input of (height, width): a few good ones on objects do."""
        odd = self._count_odd(found, size)
        if self.undecided and placed and len(found) and odd <= MOST_ODD * len(found):
            self._verified(f"{len(found)} boxes on the trial image")

    def add(self, found: Candidates, size: tuple[int, int]) -> bool:
        """Take the boxes of a live frame; whether the state changed."""
        if not self.undecided or not len(found):
            return False
        self._frames += 1
        self._boxes += len(found)
        self._odd += self._count_odd(found, size)
        return self._decide()

    def add_shown(self, *, again: bool) -> bool:
        """Take whether what a box of a live frame holds was found again; whether the state changed."""
        if not self.undecided:
            return False
        self.shown += 1
        self._again += again
        self.reason = (
            f"{self._again} of {self.shown} boxes found again so far where what they hold is shown alone"
        )
        return self._decide()

    def _decide(self) -> bool:
        if self._frames < ENOUGH_FRAMES or self._boxes < ENOUGH_BOXES:
            return False
        if self._odd > TOO_ODD * self._boxes:
            self.state = Verification.IMPLAUSIBLE
            self.reason = (
                f"{self._odd} of {self._boxes} boxes on {self._frames} frames cannot be objects "
                "(thinner than a pixel, outside of the image, larger than it, or of no class)"
            )
            return True
        if self.shown < ENOUGH_SHOWN:
            return False
        needed = IN_THE_END if self.shown >= MOST_SHOWN else CLEARLY
        if self._odd <= MOST_ODD * self._boxes and self._again >= needed * self.shown:
            self._verified(
                f"{self._boxes} boxes on {self._frames} frames, {self._again} of {self.shown} found again where they "
                "alone are shown"
            )
        elif self.shown >= MOST_SHOWN:
            self._settled = True
            self.reason = (
                f"only {self._again} of {self.shown} boxes are found again where what they hold is shown alone: "
                "they may lie beside the objects"
                if self._again < needed * self.shown
                else f"{self._odd} of {self._boxes} boxes on {self._frames} frames cannot be objects"
            )
        return not self.undecided

    def _verified(self, by: str) -> None:
        self.state, self.reason = Verification.VERIFIED, by

    def _count_odd(self, found: Candidates, size: tuple[int, int]) -> int:
        odd = odd_boxes(found.boxes, size) | (found.scores > 1.01) | (found.class_ids < 0)
        if self._classes:
            odd |= found.class_ids >= self._classes
        return int(np.count_nonzero(odd))


def exchanged(found: Candidates, size: tuple[int, int]) -> bool:
    """Whether boxes of an image in the lower left quarter of an input of (height, width) lie in the upper right one."""
    x, y = (found.boxes[:, :2] + found.boxes[:, 2:]).T / 2
    return len(found) > 0 and float(np.mean((x > size[1] / 2) & (y < size[0] / 2))) > EXCHANGED
