"""The product's judge over many windows at once, for simulations: the same functions on arrays, not one by one.

`tests/benchmarks/test_drift_replay.py` holds it against `DriftJudge`, window by window.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from agent.core.kll import Sketch
from agent.drift.alarm import Alarm, Of, Shown
from agent.drift.contexts import HOURS, SLOT_SECONDS
from agent.drift.day_kinds import kind_key
from agent.drift.distances import Reached
from agent.drift.evidence import EDGES, KNOTS, Looks
from agent.drift.excursions import Excuse
from agent.drift.judge import LEAST_SHARE, DriftJudge
from agent.drift.memory import KEEP, SCALE_KEEP
from agent.drift.nearest import REACH_SECONDS, Elapsed, weigh_nearest
from agent.drift.new_days import NewDays
from agent.drift.pairs_seen import PairsSeen
from agent.drift.passing import Passing
from agent.drift.patience import Patience
from agent.drift.recording import BLOCK_SECONDS, RecordedHour, Recording
from agent.drift.reference import Reference
from agent.drift.retrial import TrialDay
from agent.drift.scoring import Scorer

WINDOW = 60.0
PIECE = 512  # windows scored at once: 20 MB


def looks_of(values: NDArray[np.float32], per_window: int, frames: NDArray[np.int64] | None = None) -> Looks:
    """What `look` finds in windows of `per_window` frames, of values (n, F) without NaN; up to 200 frames.

    A KLL sketch of no more than 200 values holds them all, so its quantiles are those of the sorted values. Where only
    `frames` (W,) of a window were sampled, those are spread evenly over it; 0 makes a window without values.
    """
    rows = values.reshape(-1, per_window, values.shape[1])
    frames = np.full(len(rows), per_window) if frames is None else frames
    knots = np.zeros((len(rows), values.shape[1], KNOTS), np.float32)
    steps = np.full((len(rows), values.shape[1]), np.nan, np.float32)
    for number in np.unique(frames[frames > 0]).tolist():
        at = np.flatnonzero(frames == number)
        seen = rows[at][:, np.arange(number) * per_window // number]
        ranks = np.ceil((np.arange(KNOTS) + 0.5) / KNOTS * number).astype(int) - 1
        steps[at] = np.abs(np.diff(seen, axis=1)).mean(axis=1, dtype=np.float64)
        knots[at] = np.swapaxes(np.sort(seen, axis=1)[:, ranks], 1, 2)
    counts = np.repeat(frames[:, None], values.shape[1], axis=1).astype(np.float32)
    return Looks(knots=knots, counts=counts, steps=steps, frames=frames)


def record(
    recording: Recording,
    values: NDArray[np.float32],
    start: float,
    per_window: int,
    frames: NDArray[np.int64] | None = None,
) -> None:
    """Add the windows of whole hours of values (n, F), the first beginning at `start`; `frames` as in `looks_of`."""
    looks = looks_of(values, per_window, frames)
    per_hour = round(BLOCK_SECONDS / WINDOW)
    for hour in range(len(looks.frames) // per_hour):
        rows = values[hour * per_hour * per_window : (hour + 1) * per_hour * per_window]
        sampled = int(looks.frames[hour * per_hour : (hour + 1) * per_hour].sum())
        if sampled:
            rows = rows[np.arange(sampled) * len(rows) // sampled]
            recording.blocks[round(start / BLOCK_SECONDS) + hour] = block_of(rows, recording.features)
    kept = np.flatnonzero(looks.frames > 0).tolist()
    recording.looks += [looks[i : i + 1] for i in kept]
    recording.starts += [start + WINDOW * i for i in kept]
    recording.seconds += [WINDOW] * len(kept)
    recording.classes += [{}] * len(kept)


def block_of(rows: NDArray[np.float32], features: tuple[str, ...]) -> RecordedHour:
    """An hour's sketches of rows (n, F)."""
    block = RecordedHour([Sketch() for _ in features], seconds=BLOCK_SECONDS)
    for sketch, column in zip(block.sketches, rows.T, strict=True):
        sketch.update(column)
    return block


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What windows of one stream show: refined evidence `aspects` (W, 3, C), `ranks` (W, F, 19) and `weights` (W, 3, C);
    the evidence by which an alarm ends, `whole` (W, 3, C), with what is usual on new days; and whether their kind of day
    is `known` (W,)."""

    aspects: NDArray[np.float64]
    ranks: NDArray[np.float64]
    weights: NDArray[np.float64]
    whole: NDArray[np.float64]
    known: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.aspects)

    def __getitem__(self, part: slice) -> Evidence:
        return Evidence(
            self.aspects[part], self.ranks[part], self.weights[part], self.whole[part], self.known[part]
        )


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

    `memories` (3, C, K) are those of windows and trials at which something is over a limit.
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
        """The largest of distances, (W, N)."""
        return np.maximum(self.shape.max(axis=-1), self.pairs)


@dataclass(slots=True, eq=False)
class Watch:
    """An alarm that is on, and what its end is seen by where distances raised it."""

    alarm: Alarm
    faded: NDArray[np.float64]
    pairs: PairsSeen
    trial: TrialDay
    anew: Past
    """What a judge has seen that began anew with the trial."""
    change: NDArray[np.float64] | None = None
    """What it was of when it ended, (3, C) in usual sizes; None where distances raised it."""
    vain: bool = False
    """Whether it ended as it was tried in vain."""


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
        self.budget, self.limits = budget, self._scorer.limits
        self._kinds_seen, self.new_days = reference.kinds_seen(), NewDays()
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

    def evidence(self, looks: Looks, starts: NDArray[np.floating]) -> Evidence:
        """Of windows starting at `starts` (W,)."""
        features, refinement = looks.knots.shape[1], self.calibration.refinement
        refined, weights, whole = np.zeros((3, len(starts), *self._scorer.columns))
        ranks = np.empty((len(starts), features, EDGES.size))
        fit_to_judge = looks.frames >= max(1.0, LEAST_SHARE * self.reference.usual.frames)
        ranks[:], known = EDGES, np.ones(len(starts), dtype=np.bool_)
        slots = np.where(fit_to_judge, (starts // SLOT_SECONDS).astype(int), -1)
        for slot in np.unique(slots[fit_to_judge]):
            at = np.flatnonzero(slots == slot)
            known[at], middle = self._seen(slot * SLOT_SECONDS), (slot + 0.5) * SLOT_SECONDS
            passed, usual = self._passed(middle), self.reference.usual
            for fit in weigh_nearest(looks[at], self._contexts, middle, usual, passed):
                found, places = fit.evidence, at[fit.places]
                ranks[places] = found.ranks
                refined[places] = whole[places] = refinement(found.aspects, found.trust, fit.hours)
                if not known[at[0]]:
                    key = kind_key(middle, self.reference.origin.utc_offset)
                    usual_distance = self.calibration.usual_distance
                    aspects, ranks[places] = self.new_days.beyond(
                        key, found, refinement.offset, usual_distance
                    )
                    self.new_days.add(key, found)
                    refined[places] = refinement(aspects, found.trust, fit.hours)
                speaks = self._contexts.speaks(middle, REACH_SECONDS)
                weights[places] = refinement.weights(found.trust, speaks, fit.hours)
        return Evidence(refined, ranks, weights, whole, known)

    def _passed(self, moment: float) -> Elapsed:
        origin = self.reference.origin
        offset, unseen = self._utc_offset(moment), not self._seen(moment)
        return Elapsed.since(origin.end, moment, origin.utc_offset, offset, unseen=unseen)

    def _seen(self, moment: float) -> bool:
        kind, hour = divmod(kind_key(moment, self.reference.origin.utc_offset), HOURS)
        return bool(self._kinds_seen[hour, kind])

    def first_alarm(self, ratios: Ratios, trial: int, excuse: Excuse) -> int | None:
        """The window at which the alarm of a trial goes on, if any; `excuse` is carried on to there.

        What is remembered of a familiar excursion that is over fades here: only `Course` discards it, as the judge does.
        """
        return next((at for at, gone in self.events(ratios, trial, excuse) if not gone), None)

    def events(
        self,
        ratios: Ratios,
        trial: int,
        excuse: Excuse,
        passing: Passing | None = None,
        limit: float = 1.0,
    ) -> Iterator[tuple[int, bool]]:
        """The windows at which the alarm of a trial would go on, or (True) a familiar excursion is over and all is judged
        anew; `excuse` is carried on to each."""
        last = -1
        known = (passing or Passing()).joined(self.calibration.excursions)
        for at in np.flatnonzero(ratios.top[:, trial] >= limit).tolist():
            excuse.rest(at - last - 1)
            last, memory = at, ratios.memories[at, trial]
            seen = self._scorer.seen(memory, self._scorer(memory))
            excused = excuse.step(known, seen)
            if not excused or excuse.gone(known, seen):
                yield at, excused
        excuse.rest(len(ratios.joint) - last - 1)

    def judge(self, trials: Sequence[Evidence], past: Past) -> tuple[Ratios, Past]:
        """Ratios after each of W windows of N trials."""
        aspects, ranks, known = (
            np.stack(each, axis=1)
            for each in zip(*((each.aspects, each.ranks, each.known) for each in trials), strict=True)
        )
        found, past = [], past.of(np.arange(len(past.excuses)))
        for start in range(0, len(aspects), PIECE):
            piece = slice(start, start + PIECE)
            ratios, past = self._piece(aspects[piece], ranks[piece], known[piece], past)
            ratios.memories = {(start + at, trial): each for (at, trial), each in ratios.memories.items()}
            found.append(ratios)
        joined = Ratios(
            columns=np.concatenate([each.columns for each in found]),
            joint=np.concatenate([each.joint for each in found]),
            shape=np.concatenate([each.shape for each in found]),
            pairs=np.concatenate([each.pairs for each in found]),
            memories={key: memory for each in found for key, memory in each.memories.items()},
        )
        return joined, past

    def kind_of(self, moment: float) -> int:
        """The kind of day of a Unix time."""
        return kind_key(moment, self.reference.origin.utc_offset) // HOURS

    def watch(self, alarm: Alarm, past: Past, weight: NDArray, moment: float, patience: Patience) -> Watch:
        """The product's `alarm`, raised where `past` of one stream ends, in a window of `weight` (3, C) that began at
        `moment`."""
        kind = self.kind_of(moment)
        judge, faded, pairs = DriftJudge(self.reference), past.ranks[0], copy.copy(past.pairs[0])
        judge._alarm = alarm
        judge._remembered.memory, judge._excuse = past.memory[0], Excuse(calm=0)
        judge._shown = {Of.FEATURES: Shown(evidence=past.memory[0, ..., 0], weight=weight)}
        judge._alarm_step(moment, kind, self._scorer(past.memory[0]), self._reached(faded, pairs))
        trial = TrialDay.of(kind, judge._alarm.found_in, patience.after(patience.factor))
        return Watch(alarm, faded, pairs, trial, self.nothing())

    def lasts(
        self,
        watch: Watch,
        seen: Evidence,
        moment: float,
        patience: Patience,
    ) -> int | None:
        """After how many of the next windows of one stream the alarm is over; None where it is not.

        They begin at `moment`.
        """
        after = tops = None
        for number in range(len(seen)):
            if tops is None and not watch.trial.found:
                ratios, after = self.judge([seen[number:]], watch.anew)
                tops = np.concatenate([np.zeros(number), ratios.top[:, 0]])
            age = watch.alarm.age
            if self._ends(watch, seen, number):
                return number + 1
            ratio = 0.0 if tops is None else float(tops[number])
            kind, higher = self.kind_of(moment + WINDOW * number), patience.after(watch.trial.limit)
            if watch.trial.step(kind, shows=watch.alarm.age > age, ratio=ratio, higher=higher):
                watch.anew, after, tops = self.nothing(), None, None
            if watch.trial.complete(WINDOW):
                if not watch.trial.found:
                    watch.vain = watch.alarm.end()
                    return number + 1
                watch.trial = watch.trial.next()
                watch.anew, after, tops = self.nothing(), None, None
        watch.anew = watch.anew if after is None else after
        return None

    def _ends(self, watch: Watch, seen: Evidence, number: int) -> bool:
        """Whether the alarm ends with one more window."""
        change, whole, ranks = watch.alarm.whole, seen.whole[number], seen.ranks[number]
        watch.change = None if change is None else change / self.calibration.refinement.units
        if watch.alarm.of is Of.FEATURES:
            shown = Shown(evidence=whole, weight=seen.weights[number])
            return watch.alarm.watch_change(shown, self._scorer.gauge)
        watch.faded = ranks + SCALE_KEEP[:, None, None] * (watch.faded - ranks)
        watch.pairs.add(seen.aspects[number, 0, : len(ranks)], 1.0, known=bool(seen.known[number]))
        return watch.alarm.watch_distance(self._reached(watch.faded, watch.pairs), 1.0)

    def _reached(self, faded: NDArray, pairs: PairsSeen) -> Reached:
        """How far distributions, of fading ranks (4, F, 19), and pairs are, over their limits."""
        sizes = np.abs(faded - EDGES).max(axis=-1) / self.calibration.distances[0] / self.limits.of("ks")
        return Reached(
            shapes=np.pad(sizes, ((0, 0), (0, 1))),
            pairs=self._pairs_ratios(pairs),
            shape_noise=self.limits.shape_noise,
            pair_noise=self.limits.pair_noise,
        )

    def _pairs_ratios(self, seen: PairsSeen) -> NDArray[np.float64]:
        """The scores of pairs of features over their limit, (S, P)."""
        assert seen.pairs is not None
        assert seen.memory is not None
        return np.asarray(np.abs(seen.pairs.scores(seen.memory)) / self.limits.pairs[0])

    def _piece(self, aspects: NDArray, ranks: NDArray, known: NDArray, past: Past) -> tuple[Ratios, Past]:
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
                seen.add(location, 1.0, known=bool(known[at, trial]))
                pairs[at, trial] = self._pairs_ratios(seen).max()
        scored = self._scorer(memory)
        ratios = Ratios(
            scored.ratios.max(axis=-2),
            scored.joint / self.limits.joint,
            shape / self.limits.of("ks"),
            pairs,
            {},
        )
        over = np.argwhere(ratios.top >= 1.0).tolist()
        ratios.memories = {(at, trial): memory[at, trial] for at, trial in over}
        return ratios, Past(memory[-1], np.stack(last, axis=1), past.excuses, past.pairs)


def _faded(series: NDArray, before: NDArray, keep: float) -> NDArray:
    """The fading mean (W, ...) of series (W, ...) that was `before` (...) at first."""
    return lfilter([1.0 - keep], [1.0, -keep], series, axis=0, zi=(keep * before)[None])[0]
