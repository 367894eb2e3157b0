"""Durations without change or light, and how long the scene requires before they count as a fault. Pure.

Laws
----
1. A stretch that ended by itself makes the next one wait three times as long: a quiet scene, or a night in which a car
   passes every few minutes, is no fault.
2. A change of a few cells in one place, while not even the noise of the rest changes, is no life: it is a burnt-in
clock. Such a stretch must be twice as long.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from agent.cameras.health.features import HEIGHT, WIDTH, ImageMeasures, Mask, SmallImage, share_changed

# Equal frames: no more than 0.15 % of area means differ by over 2 levels and 20 % of single pixels by over
# 1. A frozen frame encoded again differs in up to 0.1 % and 16 %; real frames stay within that for 1.2 s
# at most; sensor noise of 1 level alone changes 29 % of single pixels.
EQUAL_LEVELS, EQUAL_SHARE = 2, 0.0015
EQUAL_RAW_LEVELS, EQUAL_RAW_SHARE = 1, 0.2
FROZEN_SECONDS, CLOCK_SECONDS, PATIENCE, FROZEN_LONGEST = 15.0, 30.0, 3.0, 600.0
CELL_ROWS, CELL_COLUMNS = 10, 16
CELL_PIXELS = HEIGHT // CELL_ROWS * (WIDTH // CELL_COLUMNS)
CELL_CHANGED = 2.5 / CELL_PIXELS  # more than two of a cell's 90 pixels
CLOCK_SHARE = 0.05  # of the cells; the seconds of a large clock are in one to four of 160

# Black: as good as every pixel is dark, and nothing is lighter than the rest: a night scene has some depth. Area
# means of real frames: 0..0.11 of them dark by day; by night all of them may be.
BLACK_SHARE, BLACK_DEPTH, LIGHT_DEPTH = 0.985, 8.0, 12.0
NIGHT_BLACK_SECONDS, BLACK_LONGEST = 60.0, 3600.0
USUAL_SECONDS, USUALLY_DARK = 30.0, 0.5


@dataclass(frozen=True, slots=True, eq=False)
class EqualRun:
    """The current stretch of equal frames, and the longest that ended by itself (seconds).

    `alive` are the cells (10, 16) that changed in it since its `anchor`, None: none. `still` began the stretch
    within it in which not even these change: an encoder may refine a frozen frame, and be done then.
    """

    anchor: SmallImage | None = None
    since: float = 0.0
    longest: float = 0.0
    alive: Mask | None = None
    still: SmallImage | None = None
    still_since: float = 0.0

    def frozen(self, now: float) -> bool:
        """Whether the stretch is longer than this scene has taught to wait."""
        return self._lasts(now - self.still_since, FROZEN_SECONDS) or self._lasts(
            now - self.since, CLOCK_SECONDS
        )

    def _lasts(self, seconds: float, least: float) -> bool:
        return self.anchor is not None and seconds >= min(FROZEN_LONGEST, max(least, PATIENCE * self.longest))

    def words(self, now: float) -> str:
        """The stretch in words, for a state's reason."""
        if self.alive is None or self._lasts(now - self.still_since, FROZEN_SECONDS):
            return f"the same frame for {now - self.still_since:.0f} s"
        part = max(0.01, float(self.alive.mean()))
        return f"the same frame for {now - self.since:.0f} s, but for {part:.0%} of it (a burnt-in clock?)"

    def after(self, sample: SmallImage, now: float) -> EqualRun:
        """The stretch that the sample of `now` continues or begins."""
        if self.anchor is not None:
            changed = _changed_cells(self.anchor, sample)
            if changed is not None:
                if not changed.any() and self.alive is None:
                    return self
                alive = changed if self.alive is None else changed | self.alive
                if float(alive.mean()) <= CLOCK_SHARE:
                    return replace(self, alive=alive)._stilled(sample, now)
        ended = now - self.since if self.anchor is not None else 0.0
        longest = self.longest if self.frozen(now) else max(self.longest, ended)
        return EqualRun(sample, now, longest, None, sample, now)

    def _stilled(self, sample: SmallImage, now: float) -> EqualRun:
        """The stretch in which nothing at all changes goes on, or begins with this sample."""
        changed = None if self.still is None else _changed_cells(self.still, sample)
        if changed is not None and not changed.any():
            return self
        return replace(self, still=sample, still_since=now)


def _changed_cells(one: SmallImage, other: SmallImage) -> Mask | None:
    """The cells (10, 16) in which the images differ where they are equal otherwise; None where they are not."""
    if one.raw.shape != other.raw.shape:
        return None
    if share_changed(one.raw, other.raw, EQUAL_RAW_LEVELS, one.kept_raw) > EQUAL_RAW_SHARE:
        return None
    changed = cv2.absdiff(one.grey, other.grey) > EQUAL_LEVELS
    if one.kept is not None:
        changed &= one.kept
    cells = changed.reshape(CELL_ROWS, HEIGHT // CELL_ROWS, CELL_COLUMNS, WIDTH // CELL_COLUMNS).mean(
        axis=(1, 3)
    )
    alive = np.asarray(cells > CELL_CHANGED, dtype=np.bool_)
    left = (float(cells.sum()) - float(cells[alive].sum())) / cells.size
    if left > EQUAL_SHARE:
        return None
    if float(cells.mean()) <= EQUAL_SHARE:  # the ripple of an encoder may fall into one cell
        return np.zeros_like(alive)
    return alive


@dataclass(frozen=True, slots=True)
class BlackRun:
    """The current stretch without light: since when, None for none; whether it was dark before; the longest by night.

    `usual` is the mean share of dark pixels over about half a minute.
    """

    since: float | None = None
    by_night: bool = False
    longest: float = 0.0
    usual: float = 0.0

    @property
    def patience(self) -> float:
        """Seconds after which it counts as black."""
        return min(BLACK_LONGEST, max(NIGHT_BLACK_SECONDS, PATIENCE * self.longest)) if self.by_night else 0.0

    @property
    def usually_dark(self) -> bool:
        """Whether most of the view has been dark for a while: it is night."""
        return self.usual >= USUALLY_DARK

    def after(self, figures: ImageMeasures, now: float, passed: float) -> BlackRun:
        """The stretch that the sample of `now`, `passed` seconds after the last, continues or ends."""
        share = min(1.0, passed / USUAL_SECONDS)
        usual = self.usual + share * (figures.dark - self.usual)
        depth = BLACK_DEPTH if self.since is None else LIGHT_DEPTH
        if figures.dark >= BLACK_SHARE and figures.depth <= depth:
            if self.since is not None:
                return replace(self, usual=usual)
            return replace(self, since=now, by_night=self.usually_dark, usual=usual)
        if self.since is None:
            return replace(self, usual=usual)
        ended = now - self.since if self.usually_dark else 0.0
        return BlackRun(None, False, max(self.longest, ended), usual)
