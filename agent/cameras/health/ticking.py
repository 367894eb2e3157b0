"""Finds areas of a camera's view that change every second: a burnt-in clock, most often. Pure: time is an argument.

A cell of the small image ticks when it changes about once a second and always at the same point of the second. What
moves in front of a camera changes cells as often, but at any point of the second: for each cell the mean of the unit
vectors at the angles of its changes within the second is taken (the mean resultant length R of directional statistics;
Mardia and Jupp, 2000). R is 1 where all changes come at one point, and about 1/sqrt(n) where n of them come at random.
Each change has the weight of its size, in which noise counts for little beside a digit; n is Kish's effective number of
changes, (sum of sizes)^2 / sum of squares.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.cameras.health.features import Mask, SmallImage
from agent.core.polygon import Polygon

ROUND_SECONDS = 60.0
ROUNDS = 3  # in which the same cells must tick: chance, and lights that blink for a while, do not last
LEVELS = 3  # grey levels of a cell's mean that count for nothing: noise and a new key frame change it by one or two

# Of 60 changes in 60 s some are small: 9 and 8 differ in a stroke. More than one a second is no clock of seconds.
LEAST_RATE, MOST_RATE = 0.4, 1.2
# Samples come every 0.25 to 0.4 s, so that a tick is seen up to so much late: R is 0.75 at worst. By chance 24
# changes reach 0.65 with a probability of exp(-24 * 0.65^2) = 4e-5 (Rayleigh's test), in all rounds 6e-14.
LEAST_CONSTANCY = 0.65
LEAST_SAMPLE_RATE = 2.4  # a second; sampled at 1 Hz, all that moves ticks
MOST_GROUPS = 3  # of ticking cells
# The key frame of an encoder changes the whole frame, if little, each second: where so large a share of cells changes
# at one point of the second (by chance exp(-8) of them, 5 cells) there is no telling. A large clock has a 200th.
LOCKED, MOST_LOCKED = 8.0, 0.02
LONGEST_GAP_SECONDS = 1.0

# A clock's other digits change too seldom to be found: hours and minutes stand before the seconds. In heights of the
# line: eight characters of 0.6 and some slack to the left, a fraction or `PM` to the right; above and below, what the
# strokes that change leave of a digit. A line has three cells at least, a thirtieth of the frame.
BEFORE, AFTER, ABOVE, LEAST_LINE = 6.0, 3.0, 0.6, 3.0


@dataclass(slots=True, eq=False)
class _Round:
    """Changes since `start`, for each cell (h, w): the sums of their sizes, of the squares, and of their vectors."""

    start: float
    sizes: NDArray[np.float32]
    squares: NDArray[np.float32]
    vectors: NDArray[np.complex64]
    samples: int = 0

    @classmethod
    def begun(cls, now: float, shape: tuple[int, ...]) -> _Round:
        """A round without changes."""
        sizes, squares = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        return cls(now, sizes, squares, np.zeros(shape, np.complex64))

    def add(self, change: NDArray[np.float32], now: float) -> None:
        """Add the change (h, w) of one sample."""
        self.samples += 1
        self.sizes += change
        self.squares += change * change
        self.vectors += change * np.complex64(cmath.exp(2j * math.pi * (now % 1.0)))

    def ticking(self, now: float, kept: Mask | None) -> Mask:
        """Which cells ticked until `now`; none where that cannot be known."""
        seconds = now - self.start
        if self.samples < LEAST_SAMPLE_RATE * seconds:
            return np.zeros(self.sizes.shape, dtype=np.bool_)
        changes = self.sizes**2 / np.maximum(self.squares, 1.0)
        constancy = np.abs(self.vectors) / np.maximum(self.sizes, 1.0)
        locked = changes * constancy**2 >= LOCKED
        if float(locked.mean()) > MOST_LOCKED:
            return np.zeros(self.sizes.shape, dtype=np.bool_)
        rate = changes / seconds
        ticking = (rate >= LEAST_RATE) & (rate <= MOST_RATE) & (constancy >= LEAST_CONSTANCY)
        return np.asarray(ticking if kept is None else ticking & kept, dtype=np.bool_)


class TickFinder:
    """Finds the ticking areas of one camera, once; used by the thread that judges its health."""

    def __init__(self) -> None:
        self._last: NDArray[np.uint8] | None = None
        self._last_at = -math.inf
        self._round: _Round | None = None
        self._rounds: list[Mask] = []
        self._found = False

    def add(self, sample: SmallImage, now: float) -> tuple[Polygon, ...]:
        """Add the small image of `now`; the ticking areas where they have just been found."""
        if self._found:
            return ()
        grey = sample.grey
        last, gap, self._last, self._last_at = self._last, now - self._last_at, grey, now
        if last is None or last.shape != grey.shape or not 0.0 < gap <= LONGEST_GAP_SECONDS:
            self._round, self._rounds = None, []
            return ()
        if self._round is None:
            self._round = _Round.begun(now, grey.shape)
        self._round.add(np.asarray(cv2.subtract(cv2.absdiff(last, grey), LEVELS), dtype=np.float32), now)
        if now - self._round.start < ROUND_SECONDS:
            return ()
        ticking, self._round = self._round.ticking(now, sample.kept), None
        self._rounds = [*self._rounds, ticking][-ROUNDS:]
        areas = _areas(self._rounds, sample.size) if len(self._rounds) == ROUNDS else ()
        self._found = bool(areas)
        return areas


def _areas(rounds: list[Mask], size: tuple[int, int]) -> tuple[Polygon, ...]:
    """A rectangle around each group of cells that ticked in all rounds, and the text beside it; () for none.

    A group reaches as far as cells ticked in any of the rounds. `size` is the frame's (width, height).
    """
    always, once = np.logical_and.reduce(rounds), np.logical_or.reduce(rounds)
    joined = cv2.dilate(once.astype(np.uint8), np.ones((3, 7), dtype=np.uint8))
    _, groups = cv2.connectedComponents(joined, connectivity=8)
    numbers = sorted({*groups[always].tolist()})
    if len(numbers) > MOST_GROUPS:
        return ()
    return tuple(_around(np.asarray(once & (groups == number)), size) for number in numbers)


def _around(cells: Mask, size: tuple[int, int]) -> Polygon:
    """The rectangle around a clock of which these `cells` (h, w) of the frame tick."""
    height, width = cells.shape
    rows, columns = (places.astype(float) for places in np.nonzero(cells))
    line, middle = max(LEAST_LINE, rows.max() + 1 - rows.min()), (rows.min() + rows.max() + 1) / 2
    across = line * (size[1] / height) / (size[0] / width)  # as many cells as `line` is high
    left, right = columns.min() - BEFORE * across, columns.max() + 1 + AFTER * across
    top, bottom = middle - (0.5 + ABOVE) * line, middle + (0.5 + ABOVE) * line
    x0, x1, y0, y1 = left / width, right / width, top / height, bottom / height
    x0, y0 = (math.floor(max(0.0, share) * 1000) / 1000 for share in (x0, y0))
    x1, y1 = (math.ceil(min(1.0, share) * 1000) / 1000 for share in (x1, y1))
    return ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
