"""The product's judge over many windows at once, for simulations: the same functions on arrays, not one by one.

`tests/benchmarks/test_drift_replay.py` holds it against `DriftJudge`, window by window.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from agent.core.kll import Sketch
from agent.drift.alarm import Of, Shown
from agent.drift.contexts import SLOT_SECONDS, hour_of
from agent.drift.day_kinds import UNSEEN_TRUST, weekend
from agent.drift.evidence import EDGES, KNOTS, Looks
from agent.drift.excursions import Excuse
from agent.drift.judge import DriftJudge
from agent.drift.memory import KEEP, SCALE_KEEP
from agent.drift.nearest import Passed, weigh_nearest
from agent.drift.pairs_seen import PairsSeen
from agent.drift.recording import BLOCK_SECONDS, Block, Recording
from agent.drift.reference import Reference
from agent.drift.scoring import Scorer

WINDOW = 60.0
PIECE = 512  # windows scored at once: 20 MB


def looks_of(values: NDArray[np.float32], per_window: int) -> Looks:
    """What `look` finds in windows of `per_window` frames, of values (n, F) without NaN; up to 200 frames.

    A KLL sketch of no more than 200 values holds them all, so its quantiles are those of the sorted values.
    """
    rows = values.reshape(-1, per_window, values.shape[1])
    ranks = np.ceil((np.arange(KNOTS) + 0.5) / KNOTS * per_window).astype(int) - 1
    steps = np.abs(np.diff(rows, axis=1)).mean(axis=1, dtype=np.float64)
    knots = np.sort(rows, axis=1)[:, ranks]
    return Looks(
        knots=np.ascontiguousarray(np.swapaxes(knots, 1, 2)),
        counts=np.full((len(rows), values.shape[1]), per_window, dtype=np.float32),
        steps=steps.astype(np.float32),
        frames=np.full(len(rows), per_window),
    )


def record(recording: Recording, values: NDArray[np.float32], start: float, per_window: int) -> None:
    """Add the windows of whole hours of values (n, F), the first beginning at `start`."""
    looks = looks_of(values, per_window)
    per_hour = round(BLOCK_SECONDS / WINDOW)
    for hour in range(len(looks.frames) // per_hour):
        rows = values[hour * per_hour * per_window : (hour + 1) * per_hour * per_window]
        block = Block([Sketch() for _ in recording.features], seconds=BLOCK_SECONDS)
        for sketch, column in zip(block.sketches, rows.T, strict=True):
            sketch.update(column)
        recording.blocks[round(start / BLOCK_SECONDS) + hour] = block
    recording.looks += [looks[i : i + 1] for i in range(len(looks.frames))]
    recording.starts += (start + WINDOW * np.arange(len(looks.frames))).tolist()
    recording.seconds += [WINDOW] * len(looks.frames)
    recording.classes += [{}] * len(looks.frames)


@dataclass(slots=True, eq=False)
class Past:
    """What N trials have seen: fading evidence (N, 3, C, K) of C columns, and fading ranks (N, 4, F, 19)."""

    memory: NDArray[np.float64]
    ranks: NDArray[np.float64]
    excuses: list[Excuse]
    pairs: list[PairsSeen]

    def of(self, chosen: NDArray[np.int64]) -> Past:
        """The past of some of the trials."""
        return Past(
            self.memory[chosen],
            self.ranks[chosen],
            [replace(self.excuses[place]) for place in chosen],
            [copy.copy(self.pairs[place]) for place in chosen],
        )


@dataclass(slots=True, eq=False)
class Ratios:
    """Scores over their limits after each window: of `columns` (W, N, C), `joint` (W, N), `shape` (W, N, F), `pairs`
    (W, N).

    `memories` (3, C, K) are those of windows and trials at which evidence is over a limit.
    """

    columns: NDArray[np.float64]
    joint: NDArray[np.float64]
    shape: NDArray[np.float64]
    pairs: NDArray[np.float64]
    memories: dict[tuple[int, int], NDArray[np.float64]]

    @property
    def evidence(self) -> NDArray[np.float64]:
        """The largest of evidence, (W, N)."""
        return np.maximum(self.joint, self.columns.max(axis=-1))

    @property
    def top(self) -> NDArray[np.float64]:
        """The largest of all, (W, N): at 1 the alarm goes on, unless it is excused."""
        return np.maximum(self.evidence, self.distance)

    @property
    def distance(self) -> NDArray[np.float64]:
        """The largest of what is never excused, (W, N)."""
        return np.maximum(self.shape.max(axis=-1), self.pairs)


class Replay:
    """Judges windows by one reference and budget."""

    def __init__(
        self,
        reference: Reference,
        budget: float = 1.0,
        utc_offset: Callable[[float], float] | None = None,
    ) -> None:
        self.reference, self.calibration = reference, reference.calibration
        self._utc_offset = utc_offset or (lambda _: reference.origin.utc_offset)
        self._scorer = Scorer(reference.calibration, budget, reference.origin.window_seconds)
        self.limits = self._scorer.limits
        self._kinds_seen = reference.kinds_seen()
        self._contexts = replace(reference.contexts(), remember=144)

    def nothing(self, trials: int = 1) -> Past:
        """Nothing seen yet."""
        features = len(self.reference.origin.features)
        return Past(
            np.zeros((trials, *self._scorer.columns, KEEP.size)),
            np.tile(EDGES, (trials, SCALE_KEEP.size, features, 1)),
            [Excuse() for _ in range(trials)],
            [PairsSeen(self.calibration.pairs) for _ in range(trials)],
        )

    def evidence(self, looks: Looks, starts: NDArray[np.floating]) -> tuple[NDArray, NDArray, NDArray]:
        """Refined evidence (W, 3, C), ranks (W, F, 19) and weights (W, 3, C) of windows starting at `starts`."""
        features, refinement = looks.knots.shape[1], self.calibration.refinement
        refined, weights = np.empty((2, len(starts), *self._scorer.columns))
        ranks = np.empty((len(starts), features, EDGES.size))
        slots = (starts // SLOT_SECONDS).astype(int)
        for slot in np.unique(slots):
            at = np.flatnonzero(slots == slot)
            trust, middle = self._trust(slot * SLOT_SECONDS), (slot + 0.5) * SLOT_SECONDS
            passed, usual = self._passed(middle), self.reference.usual
            for fit in weigh_nearest(looks[at], self._contexts, middle, usual, passed):
                found, places = fit.evidence, at[fit.places]
                trusted = trust * found.trust
                refined[places] = refinement(found.aspects, trusted, fit.hours)
                weights[places] = refinement.weights(trusted, fit.hours)
                ranks[places] = EDGES + trust * (found.ranks - EDGES)
        return refined, ranks, weights

    def _passed(self, moment: float) -> Passed:
        origin = self.reference.origin
        return Passed.since(origin.end, moment, origin.utc_offset, self._utc_offset(moment))

    def _trust(self, moment: float) -> float:
        kind = weekend(moment, self.reference.origin.utc_offset)
        return 1.0 if self._kinds_seen[hour_of(moment), int(kind)] else UNSEEN_TRUST

    def first_alarm(self, ratios: Ratios, trial: int, excuse: Excuse) -> int | None:
        """The window at which the alarm of a trial goes on, if any; `excuse` is carried on to there."""
        last, units = -1, self.calibration.refinement.units[..., None]
        for at in np.flatnonzero(ratios.top[:, trial] >= 1.0).tolist():
            excuse.rest(at - last - 1)
            last = at
            memory = ratios.memories.get((at, trial))
            if memory is None or not excuse.step(True, self.calibration.excursions, memory / units):
                return at
            if ratios.distance[at, trial] >= 1.0:
                return at
        excuse.rest(len(ratios.joint) - last - 1)
        return None

    def judge(self, aspects: NDArray, ranks: NDArray, past: Past) -> tuple[Ratios, Past]:
        """Ratios after each of W windows of N trials: evidence (W, N, 3, C), ranks (W, N, F, 19)."""
        found, past = [], past.of(np.arange(len(past.excuses)))
        for start in range(0, len(aspects), PIECE):
            piece = slice(start, start + PIECE)
            ratios, past = self._piece(aspects[piece], ranks[piece], past)
            ratios.memories = {(start + at, trial): each for (at, trial), each in ratios.memories.items()}
            found.append(ratios)
        whole = Ratios(
            columns=np.concatenate([each.columns for each in found]),
            joint=np.concatenate([each.joint for each in found]),
            shape=np.concatenate([each.shape for each in found]),
            pairs=np.concatenate([each.pairs for each in found]),
            memories={key: memory for each in found for key, memory in each.memories.items()},
        )
        return whole, past

    def lasting(self, aspects: NDArray, ranks: NDArray, weights: NDArray, past: Past) -> int:
        """How many of the next windows of one stream the product's alarm stays on, raised where `past` ends.

        `weights` (1 + W, 3, C) begin with those of the window that raised it.
        """
        judge, faded, pairs = DriftJudge(self.reference), past.ranks[0], copy.copy(past.pairs[0])
        judge._memory, judge._excuse = past.memory[0], Excuse(calm=0)
        judge._shown = {Of.FEATURES: Shown(evidence=past.memory[0, ..., 0], weight=weights[0])}
        ratios = np.append(self._shape(faded), self._pairs_ratio(pairs))
        judge._alarm_step(0.0, self._scorer(past.memory[0]), ratios)
        alarm, gauge = judge._alarm, self._scorer.gauge
        for number, weight in enumerate(weights[1:]):
            if alarm.of is Of.FEATURES:
                ended = alarm.watch_change(Shown(evidence=aspects[number, 0], weight=weight), gauge)
            else:
                faded = ranks[number, 0] + SCALE_KEEP[:, None, None] * (faded - ranks[number, 0])
                pairs.add(aspects[number, 0, 0, : len(faded[0])], 1.0)
                ended = alarm.watch_distance(np.append(self._shape(faded), self._pairs_ratio(pairs)), 1.0)
            if ended:
                return number + 1
        return len(aspects)

    def _shape(self, ranks: NDArray) -> NDArray[np.float64]:
        """The largest ratio of a KS distance to its limit at each time scale (4,), of fading ranks (4, F, 19)."""
        sizes = np.abs(ranks - EDGES).max(axis=-1) / self.calibration.distances[0]
        return np.asarray((sizes / self.limits.of("ks")).max(axis=1))

    def _pairs_ratio(self, seen: PairsSeen) -> float:
        """The largest score of a pair of features over its limit."""
        assert seen.pairs is not None
        assert seen.memory is not None
        return float(np.abs(seen.pairs.scores(seen.memory)).max() / self.limits.pairs[0])

    def _piece(self, aspects: NDArray, ranks: NDArray, past: Past) -> tuple[Ratios, Past]:
        memory = np.stack(
            [_faded(aspects, past.memory[..., k], keep) for k, keep in enumerate(KEEP)], axis=-1
        )  # (W, N, 3, C, K)
        shape = 0.0
        last = []
        for place, keep in enumerate(SCALE_KEEP):
            faded = _faded(ranks, past.ranks[:, place], keep)
            sizes = np.abs(faded - EDGES).max(axis=-1) / self.calibration.distances[0, place]
            shape = np.maximum(shape, sizes)
            last.append(faded[-1])
        pairs = np.empty(aspects.shape[:2])
        for trial, seen in enumerate(past.pairs):
            for at, location in enumerate(aspects[:, trial, 0, : ranks.shape[2]]):
                seen.add(location, 1.0)
                pairs[at, trial] = self._pairs_ratio(seen)
        scored = self._scorer(memory)
        ratios = Ratios(
            scored.ratios.max(axis=-2),
            scored.joint / self.limits.joint,
            shape / self.limits.of("ks"),
            pairs,
            {},
        )
        over = np.argwhere(ratios.evidence >= 1.0).tolist()
        ratios.memories = {(at, trial): memory[at, trial] for at, trial in over}
        return ratios, Past(memory[-1], np.stack(last, axis=1), past.excuses, past.pairs)


def _faded(series: NDArray, before: NDArray, keep: float) -> NDArray:
    """The fading mean (W, ...) of series (W, ...) that was `before` (...) at first."""
    return lfilter([1.0 - keep], [1.0, -keep], series, axis=0, zi=(keep * before)[None])[0]
