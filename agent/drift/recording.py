"""A recording: windows gathered for a reference, and what each of its blocks looks like to the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agent.core.kll import Sketch
from agent.drift.calibrate import HeldOut
from agent.drift.contexts import HOURS, SLOT_SECONDS, Context, Contexts, overall_spread, pooled, thinned
from agent.drift.distances import class_shares
from agent.drift.evidence import ASPECTS, BINS, Looks, UsualWindow, log_steps, look, stack
from agent.drift.nearest import Elapsed, weigh_nearest
from agent.drift.sketch import WindowSketch
from agent.drift.tables import Samples

BLOCK_SECONDS = 3600.0
_REACH = (
    2  # hours before and after one that it is compared with: an hour early or late, and the one beyond it
)
KEPT_ITEMS = 64
"""Values kept per feature and hour: ranks within 1 %, which is a fifth of an hour's own uncertainty."""


@dataclass(slots=True, eq=False)
class RecordedHour:
    """An hour of a recording: a sketch per feature and boxes by class; `seconds` covered."""

    sketches: list[Sketch]
    classes: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0

    def merge(self, sketches: Iterable[Sketch], classes: Mapping[int, int], seconds: float) -> None:
        """Add more of this hour."""
        for sketch, more in zip(self.sketches, sketches, strict=True):
            sketch.merge(more)
        self.classes.update(classes)
        self.seconds += seconds


class Recording:
    """Windows of one camera, added in the order of time; kept as sixteen numbers a feature and window.

    A day of 20 features takes 2 MB while it is recorded.
    """

    def __init__(self, features: Sequence[str]) -> None:
        self.features = tuple(features)
        self.blocks: dict[int, RecordedHour] = {}
        self.looks: list[Looks] = []
        self.starts: list[float] = []
        self.seconds: list[float] = []
        self.classes: list[Mapping[int, int]] = []

    def add(self, window: WindowSketch) -> None:
        """Add a window; one without frames is passed over."""
        if not window.frames:
            return
        number = int(window.start // BLOCK_SECONDS)
        if number not in self.blocks:
            self.blocks[number] = RecordedHour([Sketch() for _ in self.features])
        self.blocks[number].merge(window.sketches, window.classes, window.seconds)
        self.looks.append(look(window))
        self.starts.append(window.start)
        self.seconds.append(window.seconds)
        self.classes.append(dict(window.classes))

    def join(self, later: Recording) -> None:
        """Add the windows of a recording of the same camera and features that began after this one ended."""
        for number, block in later.blocks.items():
            if number in self.blocks:
                self.blocks[number].merge(block.sketches, block.classes, block.seconds)
            else:
                self.blocks[number] = block
        self.looks += later.looks
        self.starts += later.starts
        self.seconds += later.seconds
        self.classes += later.classes

    @property
    def covered(self) -> float:
        """Seconds of windows."""
        return sum(self.seconds)


@dataclass(slots=True, eq=False)
class Gathered:
    """A recording made ready: arrays over windows, samples per block, and what windows usually hold."""

    looks: Looks
    starts: NDArray[np.float64]
    window_seconds: float
    class_ids: tuple[int, ...]
    class_counts: NDArray[np.float64]
    usual: UsualWindow
    usual_boxes: float
    logs: NDArray[np.float64]
    samples: dict[int, list[Samples]]
    block_classes: dict[int, NDArray[np.float64]]
    numbers: NDArray[np.int64]


def gather(recording: Recording) -> Gathered:
    """The arrays of a recording with at least one window."""
    looks = stack(recording.looks)
    class_ids = tuple(sorted({number for counts in recording.classes for number in counts}))
    counts = np.array([tally(seen, class_ids) for seen in recording.classes])
    steps = np.where(looks.steps > 0, looks.steps, np.nan)
    usual = UsualWindow(
        counts=np.median(looks.counts, axis=0).astype(np.float64),
        frames=float(np.median(looks.frames)),
        steps=_column_medians(steps),
    )
    starts = np.array(recording.starts)
    return Gathered(
        looks=looks,
        starts=starts,
        window_seconds=float(np.median(recording.seconds)),
        class_ids=class_ids,
        class_counts=counts,
        usual=usual,
        usual_boxes=float(np.median(counts.sum(axis=1))),
        logs=log_steps(looks.steps, usual),
        samples={
            number: [kept(each) for each in block.sketches] for number, block in recording.blocks.items()
        },
        block_classes={
            number: tally(block.classes, class_ids)[:-1] for number, block in recording.blocks.items()
        },
        numbers=(starts // BLOCK_SECONDS).astype(np.int64),
    )


def kept(sketch: Sketch) -> Samples:
    """A block's values as they are compared: KEPT_ITEMS that stand for as many each, and the extremes at no weight."""
    values, weights = sketch.even(KEPT_ITEMS).weighted()
    if not values.size:
        return values, weights
    ends = np.array([sketch.minimum, sketch.maximum], dtype=np.float32)
    each = sketch.count // int(weights.sum())  # of many values how many each stands for
    return np.concatenate((ends[:1], values, ends[1:])), np.concatenate(([0], each * weights, [0]))


def tally(counts: Mapping[int, int], class_ids: Sequence[int]) -> NDArray[np.float64]:
    """Boxes per class (C+1,) float64; the last place counts the classes that are not among `class_ids`."""
    known = [counts.get(number, 0) for number in class_ids]
    return np.array([*known, sum(counts.values()) - sum(known)], dtype=np.float64)


def contexts_of(
    gathered: Gathered, blocks: Sequence[int], spread: NDArray[np.float64] | None = None
) -> Contexts:
    """The contexts that some of a recording's blocks make."""
    by_hour: dict[int, list[int]] = {}
    for number in blocks:
        by_hour.setdefault(number % HOURS, []).append(number)
    hours = {hour: _context(gathered, members) for hour, members in by_hour.items()}
    if spread is None:
        spread = overall_spread(hours, gathered.looks.knots.shape[1])
    return Contexts(hours=hours, spread=spread)


def _context(gathered: Gathered, members: Sequence[int]) -> Context:
    """What some blocks of one hour make, as coarse as the reference keeps it: limits are for what judges later.

    With as many values as there were days a repeated one stands out that is smooth among KEPT_ITEMS.
    """
    features = gathered.looks.knots.shape[1]
    logs = gathered.logs[np.isin(gathered.numbers, members)]
    return Context(
        samples=[
            thinned(pooled([gathered.samples[number][feature] for number in members]), KEPT_ITEMS)
            for feature in range(features)
        ],
        log_steps=_column_means(logs),
        classes=np.sum([gathered.block_classes[number] for number in members], axis=0),
    )


def hold_out(gathered: Gathered, spread: NDArray[np.float64], *, everything: bool = False) -> HeldOut:
    """Each block as seen by all others but its neighbours, which are not independent of it.

    With `everything` (a recording of a few hours) each block is seen by all, itself included.
    """
    windows, features, _ = gathered.looks.knots.shape
    classes = len(gathered.class_ids)
    held = HeldOut(
        aspects=np.zeros((windows, len(ASPECTS), features)),
        trust=np.zeros((windows, len(ASPECTS), features)),
        gate=np.zeros((windows, features)),
        ranks=np.zeros((windows, features, BINS - 1)),
        filled=np.clip(gathered.looks.counts / np.maximum(gathered.usual.counts, 1.0), 0.0, 1.0),
        seen=np.zeros((windows, classes + 1)),
        expected=np.zeros((windows, classes + 1)),
        boxes=gathered.class_counts,
        shares=np.full((windows, classes), np.nan),
        hours=gathered.numbers % HOURS,
        gaps=_gaps(gathered),
        blocks=len(gathered.samples),
    )
    for number in gathered.samples:
        others = list(gathered.samples) if everything else _others(gathered, number)
        contexts = contexts_of(gathered, others, spread)
        for part in _slots(gathered, number):
            _hold_out_slot(gathered, contexts, part, held)
    return held


def _others(gathered: Gathered, number: int) -> list[int]:
    """The blocks that block `number` is compared with, but only of the hours that can matter to it."""
    far = [each for each in gathered.samples if abs(each - number) > 1]
    hours = {each % HOURS for each in far}
    after = sorted((each - number) % HOURS for each in hours)
    near = {*after[-_REACH:], *[each for each in after if each >= 1][:_REACH]} | ({0} & set(after))
    return [each for each in far if (each - number) % HOURS in near]


def _slots(gathered: Gathered, number: int) -> list[slice]:
    """The windows of a block in runs that share a time slot."""
    places = np.flatnonzero(gathered.numbers == number)
    slots = (gathered.starts[places] // SLOT_SECONDS).astype(np.int64)
    breaks = np.flatnonzero((np.diff(slots) != 0) | (np.diff(places) != 1)) + 1
    return [slice(int(run[0]), int(run[-1]) + 1) for run in np.split(places, breaks)]


def _hold_out_slot(gathered: Gathered, contexts: Contexts, part: slice, held: HeldOut) -> None:
    start = float(gathered.starts[part.start])
    for fit in weigh_nearest(gathered.looks[part], contexts, start, gathered.usual, Elapsed()):
        at, expected, evidence = part.start + fit.places, fit.expected, fit.evidence
        held.aspects[at], held.trust[at], held.gate[at] = evidence.aspects, evidence.trust, evidence.gate
        held.ranks[at], held.shares[at] = evidence.ranks, expected.shares
        for place in at:
            held.seen[place], held.expected[place] = class_shares(
                gathered.class_counts[place], expected.shares, gathered.usual_boxes
            )


def _gaps(gathered: Gathered) -> NDArray[np.float64]:
    """Windows from one to the next, at least 1; the first comes after nothing."""
    apart = np.rint(np.diff(gathered.starts) / gathered.window_seconds)
    return np.concatenate(([1.0], np.maximum(apart, 1.0)))


def _column_medians(table: NDArray[np.float32]) -> NDArray[np.float64]:
    known = [column[np.isfinite(column)] for column in table.T]
    return np.array([np.median(column) if column.size else 0.0 for column in known])


def _column_means(table: NDArray[np.float64]) -> NDArray[np.float64]:
    known = [column[np.isfinite(column)] for column in table.T]
    return np.array([column.mean() if column.size else np.nan for column in known])
