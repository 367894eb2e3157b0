"""The judge of one camera: window after window against a reference, in constant space and time.

Pure and deterministic: the same windows give the same verdicts, also across a restart (`state`, `restore`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core.errors import ReferenceMismatch
from agent.core.untrusted import take_integer, take_number, take_object
from agent.drift.alarm import Alarm
from agent.drift.contexts import Expected, hour_of
from agent.drift.distances import Fading, class_shares
from agent.drift.evidence import ASPECTS, EDGES, KNOTS, look, weigh
from agent.drift.memory import AGES, KEEP, SCALE_KEEP, SCALES, fade
from agent.drift.recording import tally
from agent.drift.reference import Reference
from agent.drift.scoring import Scored, Scorer
from agent.drift.sketch import LATEST, WindowSketch
from agent.drift.statistics import STATISTICS, statistics
from agent.drift.storage import array, numbers
from agent.drift.tables import Table, interpolate_rows
from agent.drift.verdict import ClassVerdict, DriftVerdict, FeatureVerdict, Measured

FARTHEST = 1.5
"""Hours between a window and the nearest context beyond which nothing is judged: that hour was never seen."""

LEAST_SHARE = 0.1
"""A window with less than this share of the usual frames is not judged."""

CLOCK_SLACK = 86400.0
"""Seconds by which a window may lie before the reference's making; more, and the clock is wrong."""

_FOLLOWS = 0.5
"""Of the largest share in a common factor: features with so much of it are named where the factor stands out."""

_KS = list(STATISTICS).index("ks")
_QUANTILES = np.array([0.1, 0.5, 0.9])
_KNOT_PLACES = np.rint(_QUANTILES * KNOTS - 0.5).astype(int)


class DriftJudge:
    """Holds what one camera's last windows showed, and judges the next."""

    def __init__(self, reference: Reference, false_alarms_per_month: float = 1.0) -> None:
        self.reference = reference
        features = len(reference.origin.features)
        self._names = reference.origin.features
        self._contexts = reference.contexts()
        self._minutes = reference.origin.window_seconds / 60.0
        self.set_budget(false_alarms_per_month)
        self._memory = np.zeros((*self._scorer.columns, KEEP.size))
        self._fading = Fading.empty(features, len(reference.class_ids))
        self._knots: NDArray[np.float64] | None = None
        self._last_end: float | None = None
        self._alarm = Alarm()

    def set_budget(self, false_alarms_per_month: float) -> None:
        """Judge by another budget of false alarms from now on."""
        self._scorer = Scorer(
            self.reference.calibration, false_alarms_per_month, self.reference.origin.window_seconds
        )
        self._limits = self._scorer.limits

    @property
    def alarm(self) -> bool:
        """Whether the alarm is on."""
        return self._alarm.since is not None

    def judge(self, window: WindowSketch, now: float) -> DriftVerdict:
        """The verdict on the next window; `now` is Unix time.

        Raises ReferenceMismatch where the window's features are not those of the reference.
        """
        self._check(window)
        expected = self._contexts.at((window.start + window.end) / 2.0)
        reason = self._unfit(window, expected, now)
        if reason:
            return self._silent(window, expected, reason)
        self._take(window, expected)
        return self._verdict(window, expected)

    # -- taking a window in -----------------------------------------------------------------------------

    def _check(self, window: WindowSketch) -> None:
        origin = self.reference.origin
        if (window.features, window.feature_version) != (origin.features, origin.feature_version):
            raise ReferenceMismatch(
                f"camera {window.camera!r} sends features of version {window.feature_version}, "
                f"the reference has {origin.feature_version}: record a new one"
            )

    def _unfit(self, window: WindowSketch, expected: Expected, now: float) -> str:
        """Why this window cannot be judged; empty if it can."""
        origin = self.reference.origin
        if window.frames < max(1.0, LEAST_SHARE * self.reference.usual.frames):
            return f"{window.frames} usable frames in the window, normally {self.reference.usual.frames:.0f}"
        if min(now, window.end) < origin.made_at - CLOCK_SLACK:
            return "the clock is before the time at which the reference was made"
        if not self.reference.any_hour and expected.distance > FARTHEST:
            return "this hour of the day is not in the reference"
        return ""

    def _take(self, window: WindowSketch, expected: Expected) -> None:
        reference, gap = self.reference, self._gap(window)
        looks = look(window)
        evidence = weigh(looks, expected, reference.usual)
        refined = reference.calibration.refinement(
            evidence.aspects[0], evidence.trust[0], hour_of(window.start)
        )
        self._memory = fade(self._memory, refined, gap)
        filled = np.clip(looks.counts[0] / np.maximum(reference.usual.counts, 1.0), 0.0, 1.0)
        counts = tally(window.classes, reference.class_ids)
        seen, normal = class_shares(counts, expected.shares, reference.usual_boxes)
        if gap > 1:
            self._fading.rest(gap - 1)
        self._fading.add(evidence.ranks[0], filled, seen, normal)
        self._remember_knots(looks.knots[0][:, _KNOT_PLACES])
        self._last_end = window.end

    def _gap(self, window: WindowSketch) -> float:
        """How many windows after the last one this one ends; 1 where the clock went back."""
        if self._last_end is None:
            return 1.0
        return max(1.0, round((window.end - self._last_end) / self.reference.origin.window_seconds))

    def _remember_knots(self, knots: NDArray[np.float32]) -> None:
        """The last windows' own percentiles (4, F, 3), fading; undefined ones leave what was."""
        new = np.broadcast_to(knots.astype(np.float64), (SCALES.size, *knots.shape))
        if self._knots is None:
            self._knots = new.copy()
            return
        old = np.where(np.isnan(self._knots), new, self._knots)
        self._knots = np.where(np.isnan(new), self._knots, new + SCALE_KEEP[:, None, None] * (old - new))

    # -- saying what it means ---------------------------------------------------------------------------

    def _verdict(self, window: WindowSketch, expected: Expected) -> DriftVerdict:
        scored = self._scorer(self._memory)
        features = self._features(scored, self._fading.of_features(), expected)
        classes = self._classes()
        shape = max((each.ratio for each in features if each.aspect == "shape"), default=0.0)
        by_distance = max(shape, classes.ratio if classes else 0.0)
        ratio = max(float(self._scorer.ratio(scored)), by_distance)
        self._alarm_step(window.end, ratio, scored, by_distance)
        return DriftVerdict(
            camera=window.camera,
            start=window.start,
            end=window.end,
            judged=True,
            reason=self._why_provisional(),
            provisional=self.reference.provisional,
            ratio=ratio,
            joint=float(scored.joint),
            joint_limit=self._limits.joint,
            joint_minutes=float(AGES[scored.together]) * self._minutes,
            hour=expected.hour,
            features=features,
            classes=classes,
            alarm=self.alarm,
            alarm_since=self._alarm.since,
        )

    def _features(
        self, scored: Scored, distances: NDArray[np.float64], expected: Expected
    ) -> tuple[FeatureVerdict, ...]:
        usual, allowed = self.reference.calibration.distances, self._limits
        each = np.arange(len(self._names))
        column = self._standing_for(scored.ratios)
        aspect = np.take_along_axis(scored.ratios, column, axis=1).argmax(axis=0)
        column = column[aspect, each]
        ratios, weighted = scored.ratios[aspect, column], scored.weighted[aspect, column]
        best = np.abs(weighted).argmax(axis=-1)
        top = weighted[each, best] * self._direction(aspect, column)
        sizes = distances[_KS] / usual[_KS]
        scale = sizes.argmax(axis=0)
        shape = sizes[scale, each] / allowed.distances[_KS]
        by_shape = shape > ratios
        measured = self._measured(distances[:, scale, each], usual[:, scale, each] * allowed.distances)
        now, then = self._percentiles(scale, expected.table)
        shift = self._shifts(aspect, best)
        return tuple(
            FeatureVerdict(
                feature=name,
                aspect="shape" if by_shape[f] else ASPECTS[aspect[f]],
                score=float(sizes[scale[f], f] if by_shape[f] else top[f]),
                limit=float(
                    allowed.distances[_KS, f] if by_shape[f] else allowed.aspects[aspect[f], column[f]]
                ),
                ratio=float(max(shape[f], ratios[f])),
                minutes=float(SCALES[scale[f]] if by_shape[f] else AGES[best[f]]) * self._minutes,
                shift=float(shift[f]),
                distances=measured[f],
                distance_minutes=float(SCALES[scale[f]]) * self._minutes,
                now=tuple(now[f].tolist()),
                then=tuple(then[f].tolist()),
            )
            for f, name in enumerate(self._names)
        )

    def _standing_for(self, ratios: NDArray[np.float64]) -> NDArray[np.int64]:
        """The column (3, F) that stands out most of each feature's own and the factors it mainly follows."""
        loadings = np.abs(self.reference.calibration.refinement.loadings)
        features = loadings.shape[1]
        follows = loadings >= np.maximum(_FOLLOWS * loadings.max(axis=1, keepdims=True), 1e-9)
        shared = np.where(follows, ratios[:, None, features:], 0.0)
        every = np.concatenate([ratios[:, :features, None], shared], axis=-1)
        place = every.argmax(axis=-1)
        return np.where(place > 0, features + place - 1, np.arange(features))

    def _direction(self, aspect: NDArray[np.int64], column: NDArray[np.int64]) -> NDArray[np.float64]:
        """1, or -1 where a feature goes down as the factor that stands for it goes up, (F,)."""
        loadings = self.reference.calibration.refinement.loadings
        if not loadings.shape[2]:
            return np.ones(column.size)
        factor = np.maximum(column - column.size, 0)
        sign = np.sign(loadings[aspect, np.arange(column.size), factor])
        return np.where(column >= column.size, sign, 1.0)

    @staticmethod
    def _measured(sizes: NDArray[np.float64], limits: NDArray[np.float64]) -> list[Mapping[str, Measured]]:
        """Each feature's distances by statistic, of their sizes and limits (S, F)."""
        return [
            {
                name: Measured(statistic.value(float(size)), statistic.value(float(limit)))
                for name, statistic, size, limit in zip(STATISTICS, every, *pairs, strict=True)
            }
            for every in [statistics()]
            for pairs in zip(sizes.T, limits.T, strict=True)
        ]

    def _shifts(self, aspect: NDArray[np.int64], age: NDArray[np.int64]) -> NDArray[np.float64]:
        """By how much each feature's aspect has changed since, (F,)."""
        place = np.minimum(np.searchsorted(1.0 / (1.0 - KEEP), AGES[age]), KEEP.size - 1)
        whole = self.reference.calibration.refinement.of_features(self._memory)
        level = whole[aspect, np.arange(age.size), place]
        return np.asarray(level / (1.0 - KEEP[place] ** AGES[age]), dtype=np.float64)

    def _percentiles(
        self, scale: NDArray[np.int64], table: Table
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """p10, p50, p90 (F, 3) of now, at each feature's scale, and of what is normal.

        Within the range of the reference they are read off the fading ranks; beyond it ranks say nothing, and the
        mean of the windows' own percentiles stands in.
        """
        assert self._knots is not None  # a window was taken in before
        each = np.arange(scale.size)
        ranks, own = self._fading.ranks[scale, each], self._knots[scale, each]
        asked = np.broadcast_to(_QUANTILES, (each.size, _QUANTILES.size))
        edges = np.broadcast_to(EDGES, ranks.shape)
        at = interpolate_rows(asked, np.maximum.accumulate(ranks, axis=1), edges)
        now, then = table.values_at(at), table.values_at(asked)
        beyond = (at <= EDGES[0]) | (at >= EDGES[-1])
        return np.where(beyond & np.isfinite(own), own, now), then

    def _classes(self) -> ClassVerdict | None:
        if not self.reference.usual_boxes:
            return None
        found, usual = self._fading.of_classes(), self.reference.calibration.classes
        scale = int((found[0] / usual[0]).argmax())
        limit = float(usual[0, scale]) * self._limits.classes
        return ClassVerdict(
            distance=float(found[0, scale]),
            limit=limit,
            ratio=float(found[0, scale]) / limit,
            psi=float(found[1, scale] ** 2),
            psi_limit=float((usual[1, scale] * self._limits.classes) ** 2),
            minutes=float(SCALES[scale]) * self._minutes,
        )

    def _alarm_step(self, now: float, ratio: float, scored: Scored, by_distance: float) -> None:
        if self.alarm:
            if self._alarm.watch(self._memory, by_distance):
                self._begin_anew()
        elif ratio >= 1.0 and ratio <= by_distance:
            self._alarm.raise_by_distance(now, ratio)
        elif ratio >= 1.0:
            self._alarm.raise_by_change(now, self._memory, *self._scorer.changed(scored))

    def _begin_anew(self) -> None:
        """After an alarm: its drift must not be taken for what was there before."""
        self._memory = np.zeros_like(self._memory)
        self._fading = Fading.empty(len(self._names), len(self.reference.class_ids))

    def _why_provisional(self) -> str:
        reference = self.reference
        if not reference.provisional:
            return ""
        if reference.any_hour:
            return "the reference was made from images"
        hours = reference.origin.covered / 3600.0
        return f"the reference covers {f'{hours:.1f} h' if hours >= 1 else f'{60 * hours:.0f} min'}"

    def _silent(self, window: WindowSketch, expected: Expected, reason: str) -> DriftVerdict:
        return DriftVerdict(
            camera=window.camera,
            start=window.start,
            end=window.end,
            judged=False,
            reason=reason,
            provisional=self.reference.provisional,
            ratio=0.0,
            joint=0.0,
            joint_limit=self._limits.joint,
            joint_minutes=0.0,
            hour=expected.hour,
            features=(),
            classes=None,
            alarm=self.alarm,
            alarm_since=self._alarm.since,
        )

    # -- across restarts --------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What has been seen, as JSON-able values (about 25 kB for 20 features)."""
        alarm = self._alarm
        return {
            "reference": self.reference.id,
            "memory": numbers(self._memory),
            "ranks": numbers(self._fading.ranks),
            "seen": numbers(self._fading.seen),
            "expected": numbers(self._fading.expected),
            "knots": None if self._knots is None else numbers(self._knots),
            "last_end": self._last_end,
            "alarm": {
                "since": alarm.since,
                "place": alarm.place,
                "level": None if alarm.level is None else numbers(alarm.level),
                "ratio": alarm.ratio,
                "calm": alarm.calm,
                "age": alarm.age,
            },
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`; ReferenceMismatch where it is damaged or belongs to another reference."""
        if not isinstance(state, Mapping) or state.get("reference") != self.reference.id:
            raise ReferenceMismatch("what was seen before belongs to another reference")
        try:
            self._restore(state)
        except ValueError as error:
            raise ReferenceMismatch(f"what was seen before cannot be read: {error}") from None

    def _restore(self, state: Mapping[str, Any]) -> None:
        entry, features = take_object(state, "alarm"), len(self._names)
        level = None if entry.get("level") is None else array(entry, "level", self._scorer.columns)
        alarm = Alarm(
            take_number(entry, "since", None, minimum=0.0, maximum=LATEST),
            take_integer(entry, "place", minimum=0, maximum=KEEP.size - 1),
            level,
            take_number(entry, "ratio"),
            take_integer(entry, "calm", minimum=0),
            take_integer(entry, "age", minimum=0),
        )
        memory = array(state, "memory", self._memory.shape)
        fading = Fading(
            array(state, "ranks", self._fading.ranks.shape),
            array(state, "seen", self._fading.seen.shape),
            array(state, "expected", self._fading.expected.shape),
        )
        shape = (SCALES.size, features, _QUANTILES.size)
        percentiles = None if state.get("knots") is None else array(state, "knots", shape, unknown=True)
        last_end = take_number(state, "last_end", None, minimum=0.0, maximum=LATEST)
        self._knots, self._last_end = percentiles, last_end
        self._memory, self._fading, self._alarm = memory, fading, alarm
