"""What a camera showed lately, in blocks of five minutes and then of hours: bounded, for an operator to accept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core.arrays import array, numbers
from agent.core.untrusted import BadInput, take_integer, take_list, take_number, take_object
from agent.drift.evidence import KNOTS, look
from agent.drift.sketch import LATEST, WindowSketch
from agent.drift.storage import MOST_COUNT, class_counts

SHORT_SECONDS, HOUR_SECONDS = 300.0, 3600.0
SHORT_FOR_SECONDS = 6 * HOUR_SECONDS
"""For so long blocks of five minutes are kept as they are: a change is accepted from its beginning on."""

KEPT_BLOCKS = round(SHORT_FOR_SECONDS / SHORT_SECONDS) + 7 * 24
"""A week: hours of 26 features take 320 kB. Counted, not by their age: a clock that is weeks ahead for a while must not
empty them, and after a pause older ones do no harm."""

DIRECTIONS = 32
"""Of the embedding, as `agent.features.distance` projects it."""

_KNOWN, _STEPS, _STEPS_KNOWN = KNOTS, KNOTS + 1, KNOTS + 2
_COLUMNS = KNOTS + 3
_MOST_BLOCKS = 1000
_LARGEST = 1e36


@dataclass(slots=True, eq=False)
class Block:
    """Windows of up to an hour as sums: `sums` (F, KNOTS + 3) of their quantiles, how many had any, steps, and how many
    had those; `log_sums` (F, 4) of their quantiles' mean logarithm, how many had only positive ones, of the logarithm
    of steps, and how many had positive ones; `squares` (F, 2) of how far the level of each window, the mean of its
    quantiles, was from the block's, and the same of the mean logarithm, NaN where unknown; `classes` boxes by class;
    `frames`; `embedding` (DIRECTIONS,) the sum of so many `embeddings`; `alarmed` windows in which the alarm was on.

    The logarithm of a mean lies above the mean of logarithms, by half the variance of what wanders between windows.
    """

    start: float
    end: float
    windows: int
    frames: int
    sums: NDArray[np.float64]
    log_sums: NDArray[np.float64]
    squares: NDArray[np.float64]
    classes: Counter[int] = field(default_factory=Counter)
    embedding: NDArray[np.float64] = field(default_factory=lambda: np.zeros(DIRECTIONS))
    embeddings: int = 0
    alarmed: int = 0

    def add(self, later: Block) -> None:
        """Take in a block that follows."""
        self.end, self.windows, self.frames = (
            later.end,
            self.windows + later.windows,
            self.frames + later.frames,
        )
        self.squares = self.squares + later.squares + _between(self, later)
        self.sums, self.log_sums = self.sums + later.sums, self.log_sums + later.log_sums
        self.classes = self.classes + later.classes
        self.alarmed += later.alarmed
        self.embedding, self.embeddings = (
            self.embedding + later.embedding,
            self.embeddings + later.embeddings,
        )

    @property
    def known(self) -> NDArray[np.float64]:
        """Windows in which each feature had a value, (F,)."""
        return self.sums[:, _KNOWN]

    @property
    def knots(self) -> NDArray[np.float64]:
        """The mean window's quantiles, (F, KNOTS); NaN where a feature had no value."""
        return _means(self.sums[:, :KNOTS], self.sums[:, _KNOWN, None])

    @property
    def logs(self) -> NDArray[np.float64]:
        """The mean logarithm of the windows' quantiles, (F,); NaN where not all of them were positive."""
        return _log_means(self.log_sums[:, :2], self.known)

    @property
    def log_steps(self) -> NDArray[np.float64]:
        """The mean logarithm of steps, (F,); NaN where not all of them were positive."""
        return _log_means(self.log_sums[:, 2:], self.sums[:, _STEPS_KNOWN])

    @property
    def steps(self) -> NDArray[np.float64]:
        """The mean step from frame to frame, (F,); NaN where there was none."""
        return _means(self.sums[:, _STEPS], self.sums[:, _STEPS_KNOWN])


def _between(first: Block, second: Block) -> NDArray[np.float64]:
    """What squares about the mean of both (F, 2) have more than those about each one's own (Chan et al., 1979)."""
    counts = [np.stack([each.known, each.log_sums[:, 1]], axis=1) for each in (first, second)]
    levels = [
        np.stack([each.sums[:, :KNOTS].mean(axis=1), each.log_sums[:, 0]], axis=1) / np.maximum(count, 1.0)
        for each, count in zip((first, second), counts, strict=True)
    ]
    apart = counts[0] * counts[1] / np.maximum(counts[0] + counts[1], 1.0)
    return np.asarray(apart * (levels[1] - levels[0]) ** 2, dtype=np.float64)


def _means(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.where(counts > 0, sums / np.maximum(counts, 1.0), np.nan), dtype=np.float64)


def _log_means(sums: NDArray[np.float64], known: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of `sums` (F, 2), logarithms and their number; NaN where fewer than the `known` (F,) windows have one."""
    return _means(sums[:, 0], np.where(sums[:, 1] >= known, sums[:, 1], 0.0))


class RecentWeek:
    """The blocks of the last week in which there were frames, oldest first."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []

    def add(
        self, window: WindowSketch, embedding: NDArray[np.float64], embeddings: int, *, alarmed: bool
    ) -> None:
        """Add a window, with the sum `embedding` (DIRECTIONS,) of so many; one without frames is passed over."""
        if not window.frames:
            return
        # Where the clock went back, what lies ahead of it was under a wrong time.
        self.blocks = [each for each in self.blocks if each.start <= window.start]
        new = _block(window, embedding, embeddings, alarmed)
        if self.blocks and _slot(self.blocks[-1], SHORT_SECONDS) == _slot(new, SHORT_SECONDS):
            self.blocks[-1].add(new)
        else:
            self.blocks.append(new)
            self._tidy(window.end)

    def since(self, at: float) -> list[Block]:
        """The blocks that begin at `at` or later; one that began before it holds what may have been normal."""
        return [each for each in self.blocks if each.start >= at]

    def _tidy(self, now: float) -> None:
        kept: list[Block] = []
        for block in self.blocks:
            old = block.end < now - SHORT_FOR_SECONDS
            if kept and old and _slot(kept[-1], HOUR_SECONDS) == _slot(block, HOUR_SECONDS):
                kept[-1].add(block)
            else:
                kept.append(block)
        self.blocks = kept[-KEPT_BLOCKS:]

    def state(self) -> list[dict[str, Any]]:
        """As JSON values."""
        return [
            {
                "start": each.start,
                "end": each.end,
                "windows": each.windows,
                "frames": each.frames,
                "sums": _singles(each.sums),
                "log_sums": _singles(each.log_sums),
                **({"squares": _singles(each.squares)} if np.isfinite(each.squares).all() else {}),
                "classes": {str(number): boxes for number, boxes in each.classes.items()},
                "embedding": _singles(each.embedding),
                "embeddings": each.embeddings,
                "alarmed": each.alarmed,
            }
            for each in self.blocks
        ]

    @classmethod
    def restore(cls, state: object, features: int) -> RecentWeek:
        """What `state` gave; BadInput for anything else."""
        recent = cls()
        entries = take_list({"blocks": state}, "blocks", longest=_MOST_BLOCKS)
        recent.blocks = [_restored(take_object({"block": each}, "block"), features) for each in entries]
        starts = [each.start for each in recent.blocks]
        if starts != sorted(starts):
            raise BadInput("`blocks` are out of order")
        return recent


def _slot(block: Block, seconds: float) -> int:
    return int(block.start // seconds)


def _block(window: WindowSketch, embedding: NDArray[np.float64], embeddings: int, alarmed: bool) -> Block:
    looks = look(window)
    knots, steps = looks.knots[0].astype(np.float64), looks.steps[0].astype(np.float64)
    known = np.isfinite(knots).all(axis=1)
    moved = np.isfinite(steps)
    positive = known & (knots > 0).all(axis=1)
    logs = np.log(np.where(positive[:, None], knots, 1.0)).mean(axis=1)
    moving = moved & (steps > 0)
    log_steps = np.log(np.where(moving, steps, 1.0))
    columns = [np.where(known[:, None], knots, 0.0), known[:, None], np.where(moved, steps, 0.0)[:, None]]
    return Block(
        start=window.start,
        end=window.end,
        windows=1,
        frames=window.frames,
        sums=np.concatenate([*columns, moved[:, None]], axis=1),
        log_sums=np.stack([logs, positive, log_steps, moving], axis=1),
        squares=np.zeros((len(knots), 2)),
        classes=Counter(window.classes),
        embedding=embedding,
        embeddings=embeddings,
        alarmed=int(alarmed),
    )


def _singles(values: NDArray[np.float64]) -> str:
    return numbers(np.clip(values, -_LARGEST, _LARGEST), "<f4")


def _restored(entry: Mapping[str, Any], features: int) -> Block:
    counts = {
        name: take_integer(entry, name, minimum=least, maximum=MOST_COUNT)
        for name, least in (("windows", 1), ("frames", 1), ("embeddings", 0), ("alarmed", 0))
    }
    start = take_number(entry, "start", minimum=0.0, maximum=LATEST)
    sums = array(entry, "sums", (features, _COLUMNS), low=-2 * _LARGEST, high=2 * _LARGEST, kind="<f4")
    if (sums[:, [_KNOWN, _STEPS_KNOWN]] < 0).any():
        raise BadInput("`sums` counts less than nothing")
    return Block(
        start=start,
        end=take_number(entry, "end", minimum=start, maximum=LATEST),
        sums=sums,
        log_sums=_log_sums(entry, features),
        squares=_squares(entry, features),
        classes=class_counts(entry),
        embedding=array(entry, "embedding", (DIRECTIONS,), low=-_LARGEST, high=_LARGEST, kind="<f4"),
        **counts,
    )


def _log_sums(entry: Mapping[str, Any], features: int) -> NDArray[np.float64]:
    """Unknown in a block that an earlier version wrote."""
    if "log_sums" not in entry:
        return np.zeros((features, 4))
    found = array(entry, "log_sums", (features, 4), low=-_LARGEST, high=_LARGEST, kind="<f4")
    if (found[:, [1, 3]] < 0).any():
        raise BadInput("`log_sums` counts less than nothing")
    return found


def _squares(entry: Mapping[str, Any], features: int) -> NDArray[np.float64]:
    """Unknown in a block that an earlier version wrote."""
    if "squares" not in entry:
        return np.full((features, 2), np.nan)
    return array(entry, "squares", (features, 2), low=0.0, high=_LARGEST, kind="<f4")
