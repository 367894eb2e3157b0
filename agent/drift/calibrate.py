"""Calibration: judges a reference's held-out blocks by the rest of it, and derives the limits.

Everything that is judged is first a number that is about 1 in size on held-out blocks (`scores`, `distances`);
then the tail of its largest values gives the limit for a budget of false alarms.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agent.drift import joint
from agent.drift.class_mix import ClassMix, learn_class_mix
from agent.drift.contexts import HOURS
from agent.drift.distances import Fading
from agent.drift.evidence import ASPECTS
from agent.drift.excursions import Excursions, learn_excursions, no_excursions
from agent.drift.memory import AGE_WEIGHTS, AGES, SCALES
from agent.drift.noise import CAUTIOUS, matched_filters
from agent.drift.pairs import Pairs, learn_pairs
from agent.drift.refine import Refinement, learn, nothing_learnt
from agent.drift.series import PRIOR, EvidenceSeries, largest, score
from agent.drift.statistics import STATISTICS, psi, statistics
from agent.drift.tables import FAR
from agent.drift.tail import Tail, fit_tails

BUDGET_SHARES = {"features": 0.5, "joint": 0.35, "distances": 0.07, "pairs": 0.03, "classes": 0.05}
"""How the budget of false alarms is divided: each kind of score catches what the others miss. That of classes is for
their distance and for their likelihood, half for each."""

LEAST_BLOCKS = 6
"""Fewer hours than this and nothing can be held out: the noise is then assumed, cautiously."""

_UNCERTAIN_FACTORS = 1.4
"""By how much wider the limits of common factors are: they were chosen because they move most in this reference, and
what moves twelve features at once (weather) is the slowest and least often seen of all."""
_LEAST_GATE = 0.05  # windows that say less of a feature are no part of its tail
_TWO_DAYS = 36  # blocks
_SINGLE_DAY_DISTANCES = np.array([1.0, 1.1, 1.25, 1.4])[:, None]  # the same for distances, by scale
_SINGLE_DAY_PAIRS = np.array([1.3, 1.45, 1.6])[:, None]
"""The same for pairs, by scale, as distances go on: what goes together at some hours only, one day cannot tell."""
_MINUTE = 60.0  # windows of another length have nearly the same limits

# Assumed where nothing can be learnt; sizes as simulated streams of autocorrelation times up to a minute show.
_ASSUMED_VARIANCE = np.array([[0.3], [0.1], [0.1]])
_ASSUMED_KS = np.array([0.40, 0.28, 0.20, 0.16])
_ASSUMED_JOINT = 0.35


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeldOut:
    """Held-out windows in order: `aspects`, `trust` (W, 3, F), `ranks` (W, F, BINS-1), class shares `seen` and
    `expected` (W, C+1); `boxes` (W, C+1) counted of each class, and `shares` (W, C) that are normal, NaN if unknown.

    `gate` (W, F), 0..1, is the part of `trust` that follows from the moment alone.
    `filled` (W, F), 0..1, is how many of the usual values each window had.
    `hours` (W,) is each window's hour of day, 0..23; `gaps` (W,) how many windows it lies after the one before (1:
    the next). `blocks` counts the hours.
    """

    aspects: NDArray[np.float64]
    ranks: NDArray[np.float64]
    trust: NDArray[np.float64]
    gate: NDArray[np.float64]
    filled: NDArray[np.float64]
    seen: NDArray[np.float64]
    expected: NDArray[np.float64]
    boxes: NDArray[np.float64]
    shares: NDArray[np.float64]
    hours: NDArray[np.int64]
    gaps: NDArray[np.float64]
    blocks: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """What is learnt from held-out blocks.

    Columns are the F features and R common factors of each aspect. `refinement` makes evidence of them; `noise`
    (3, F + R, 8) is its wandering; `size` (3, F + R, J) what scores still exceed 1 by; `joint_mean`, `joint_variance`
    (J,); `distances` (S, 4, F) the usual size of each statistic, NaN for one that an older reference lacks; `classes`
    (2, 4) usual Jensen-Shannon and root PSI; `mix` the class mix as evidence and `pairs` of features, None where not
    learnt; `tails` of each aspect's features, of its factors ("location factors") and of the other scores;
    `excursions` what came and went; `longest` the largest age judged, in windows; `windows` and `blocks` how much it
    rests on.
    """

    refinement: Refinement
    noise: NDArray[np.float64]
    size: NDArray[np.float64]
    joint_mean: NDArray[np.float64]
    joint_variance: NDArray[np.float64]
    distances: NDArray[np.float64]
    classes: NDArray[np.float64]
    tails: dict[str, tuple[Tail, ...]]
    excursions: Excursions
    mix: ClassMix | None
    pairs: Pairs | None
    longest: int
    windows: int
    blocks: int

    @property
    def features(self) -> int:
        """How many features there are."""
        return int(self.refinement.offset.shape[1])

    @property
    def usual_distance(self) -> NDArray[np.float64]:
        """The usual Kolmogorov-Smirnov distance of a window's distributions, (F,)."""
        return np.asarray(self.distances[list(STATISTICS).index("ks"), 0])

    def filters(self) -> NDArray[np.float64]:
        """Filters (3, F + R, J, K) that make scores out of a fading memory (3, F + R, K)."""
        return matched_filters(self.noise, self.longest) / self.size[..., None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreLimits:
    """The largest scores that are normal, for one budget.

    `aspects` (3, F + R); `distances` (S, F), over their usual size; `joint` and `classes` (distances of the class mix)
    one each; `mix` (C,) and `pairs` (1,), empty where they are not judged.
    """

    aspects: NDArray[np.float64]
    joint: float
    distances: NDArray[np.float64]
    classes: float
    mix: NDArray[np.float64]
    pairs: NDArray[np.float64]

    def of(self, statistic: str) -> NDArray[np.float64]:
        """A statistic's limits (F,), over its usual size."""
        return np.asarray(self.distances[list(STATISTICS).index(statistic)])

    @property
    def shape_noise(self) -> NDArray[np.float64]:
        """A usual size of each feature's KS distance, and of the class mix, over its limit, (F + 1,)."""
        return 1.0 / np.append(self.of("ks"), self.classes)

    @property
    def pair_noise(self) -> float:
        """A usual size of each pair's score over their limit; 1 where pairs are not judged."""
        return 1.0 / float(self.pairs.max(initial=1.0))


def limits(calibration: Calibration, false_alarms_per_month: float, window_seconds: float) -> ScoreLimits:
    """The limits that keep false alarms of a camera within the budget; they fall as the budget grows."""
    features = calibration.features
    per_window = false_alarms_per_month * window_seconds / (30 * 86400.0)
    share = {name: part * per_window for name, part in BUDGET_SHARES.items()}
    each = share["features"] / (len(ASPECTS) * features)

    def of(name: str, rate: float) -> NDArray[np.float64]:
        return np.array([tail.limit(rate) for tail in calibration.tails[name]])

    def of_statistic(name: str) -> NDArray[np.float64]:
        if name not in calibration.tails:
            return np.full(features, np.nan)
        return of(name, share["distances"] / features)

    return ScoreLimits(
        aspects=np.stack(
            [np.concatenate([of(aspect, each), of(factors_of(aspect), each)]) for aspect in ASPECTS]
        ),
        joint=float(of("joint", share["joint"])[0]),
        distances=np.stack([of_statistic(name) for name in STATISTICS]),
        classes=float(of("classes", share["classes"] / 2)[0]),
        pairs=of("pairs", share["pairs"]),
        mix=of("mix", share["classes"] / 2 / max(len(calibration.tails["mix"]), 1)),
    )


def factors_of(aspect: str) -> str:
    """The name of the tails of an aspect's common factors."""
    return f"{aspect} factors"


def calibrate(held: HeldOut) -> Calibration:
    """Learn from held-out windows of at least LEAST_BLOCKS hours; for shorter references see `assumed`."""
    refinement = learn(held.aspects, held.trust, held.gate, held.hours, held.gaps)
    evidence = refinement(held.aspects, held.trust, held.hours[:, None])
    gates = refinement.gates(held.gate)
    windows, aspects, columns = evidence.shape
    features = held.gate.shape[1]
    series = EvidenceSeries(evidence=evidence, gates=gates, gaps=held.gaps, blocks=held.blocks)
    noise = series.noise(features)
    size = series.sizes(noise)
    tops, sums = _tops_and_sums(series, matched_filters(noise, series.longest) / size[..., None], features)
    mean, variance, together = _joint(sums, series.longest)
    pairs, pair_tops = learn_pairs(evidence[:, 0, :features], held.gaps)
    if held.blocks < _TWO_DAYS:
        pairs = replace(pairs, size=_SINGLE_DAY_PAIRS * pairs.size)
    mix, mix_tops = learn_class_mix(held.boxes, held.shares, held.hours, held.gaps, held.blocks)
    distances, classes, distance_tops = _distances(held)
    days = held.blocks / HOURS
    tails = {name: fit_tails(top, days) for name, top in distance_tops.items()} | _tails(
        tops, gates, features, days
    )
    made = Calibration(
        refinement=refinement,
        noise=noise,
        size=size,
        joint_mean=mean,
        joint_variance=variance,
        distances=distances * (_SINGLE_DAY_DISTANCES if held.blocks < _TWO_DAYS else 1.0),
        classes=classes,
        tails=tails
        | {
            "joint": fit_tails(together[:, None], days),
            "mix": fit_tails(mix_tops, days),
            "pairs": fit_tails(pair_tops, days),
        },
        excursions=no_excursions((aspects, columns)),
        mix=mix,
        pairs=pairs,
        longest=series.longest,
        windows=windows,
        blocks=held.blocks,
    )
    allowed = limits(made, 1.0, _MINUTE)
    ratios = np.maximum((tops / allowed.aspects).max(axis=(1, 2)), together / allowed.joint)
    return replace(made, excursions=learn_excursions(ratios, evidence / refinement.units))


def _tops_and_sums(
    series: EvidenceSeries, filters: NDArray[np.float64], features: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The largest weighted score over all ages (W, 3, F + R), and the joint sum (W, J) of the features."""
    tops, sums = [], []
    for _, memory in series.memories():
        scores = score(memory, filters)
        tops.append(largest(scores))
        sums.append(joint.combine(scores[:, :, :features]))
    return np.concatenate(tops), np.concatenate(sums)


def _tails(
    tops: NDArray[np.float64], gates: NDArray[np.float64], features: int, days: float
) -> dict[str, tuple[Tail, ...]]:
    """The tails of each aspect's features and factors, of their largest scores (W, 3, F + R)."""
    known = np.where(gates > _LEAST_GATE, tops, 0.0)
    found = {}
    for number, aspect in enumerate(ASPECTS):
        found[aspect] = fit_tails(known[:, number, :features], days)
        factors = [fit_tails(column[:, None], days)[0] for column in known[:, number, features:].T]
        found[factors_of(aspect)] = tuple(Tail(stretch=_UNCERTAIN_FACTORS * each.stretch) for each in factors)
    return found


def _joint(
    sums: NDArray[np.float64], longest: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance (J,) of the joint sum (W, J), and the joint score (W,)."""
    used = longest >= AGES
    looks = len(sums) / (2.0 * AGES)
    mean, variance = sums.mean(axis=0), sums.var(axis=0)
    # What the shortest ages show, on many looks, steadies the long ones, which rest on few.
    mean = np.maximum((looks * mean + PRIOR * mean[0]) / (looks + PRIOR), mean[0])
    variance = np.maximum((looks * variance + PRIOR * variance[0]) / (looks + PRIOR), variance[0])
    mean, variance = np.where(used, mean, 1.0), np.where(used, variance, 1.0)
    return mean, variance, (AGE_WEIGHTS * joint.made_normal(sums, mean, variance))[:, used].max(axis=-1)


def _distances(
    held: HeldOut,
) -> tuple[NDArray[np.float64], NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """Usual sizes (S, 4, F) and (2, 4), and the largest ratios over scales: statistics (W, F), classes (W, 1)."""
    windows, features = held.filled.shape
    fading = Fading.empty(features, held.seen.shape[1] - 1)
    found = np.empty((windows, len(STATISTICS), SCALES.size, features))
    mixed = np.empty((windows, 2, SCALES.size))
    for place in range(windows):
        fading.add(held.ranks[place], held.filled[place], held.seen[place], held.expected[place])
        found[place], mixed[place] = fading.of_features(), fading.of_classes()
    usual = np.maximum(np.sqrt((found**2).mean(axis=0)), 0.01)
    usual_mix = np.maximum(np.sqrt((mixed**2).mean(axis=0)), 0.01)
    ratios = (found / usual).max(axis=2)
    tops = {name: ratios[:, number] for number, name in enumerate(STATISTICS)}
    return usual, usual_mix, tops | {"classes": (mixed / usual_mix)[:, 0].max(axis=1)[:, None]}


def assumed(aspects: NDArray[np.float64]) -> Calibration:
    """A cautious calibration for a reference without enough time to learn from (images, minutes of video).

    `aspects` (W, 3, F), as far as there are any windows, give the evidence's variance; how it wanders is taken
    from CAUTIOUS, at twice that variance, with tails half as wide again as a normal score's.
    """
    windows, _, features = aspects.shape
    variance = np.repeat(_ASSUMED_VARIANCE, features, axis=1)
    if windows:
        variance = np.maximum(aspects.var(axis=0), variance)
    noise = 2.0 * variance[..., None] * CAUTIOUS
    wide = Tail(stretch=1.4)
    usual = np.tile(_ASSUMED_KS[:, None], (1, features))
    return Calibration(
        # Images say nothing of how much a camera varies within a minute, and less of how it moves.
        refinement=nothing_learnt(
            offset=aspects.mean(axis=0) if windows else np.zeros(variance.shape),
            most=np.repeat([[FAR], [FAR if windows else 0.0], [FAR if windows else 0.0]], features, axis=1),
        ),
        noise=noise,
        size=np.ones((*noise.shape[:2], AGES.size)),
        joint_mean=np.full(AGES.size, _ASSUMED_JOINT * features),
        joint_variance=np.full(AGES.size, features / 2.0),
        distances=np.stack([statistic.per_ks * usual for statistic in statistics()]),
        classes=np.stack([usual[:, 0], psi.STATISTIC.per_ks * usual[:, 0]]),
        tails=dict.fromkeys((*ASPECTS, *STATISTICS), (wide,) * features)
        | dict.fromkeys((*map(factors_of, ASPECTS), "mix", "pairs"), ())
        | dict.fromkeys(("joint", "classes"), (wide,)),
        excursions=no_excursions(variance.shape),
        mix=None,
        pairs=None,
        longest=int(AGES[-1]),
        windows=windows,
        blocks=0,
    )
