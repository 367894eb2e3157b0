"""Acceptance: includes everything seen since a moment in a reference, and keeps the rest of it.

A change is measured against what was normal at the same moments: by how much each feature's level moved, and how much
more it scatters and wanders from frame to frame. The distributions of all hours of the day are moved by as much, each
hour by what was seen nearest to it, so that a week's weather, weekends and limits stay. Limits and noise are in
scores, which do not change when values and what is normal move together.

Over a few hours every feature lies a little beside its mean. What chance explains is no change, and what is one is
drawn towards none by how uncertain it is (James and Stein, 1961). How wrong that still is usually (Stein's unbiased
estimate of the risk, 1981) widens the limits (acceptance_limits.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agent.core.kll import Sketch
from agent.drift.acceptance_limits import WHOLE_SECONDS, Doubt, Wander, uncertain, wander, widened
from agent.drift.believe import believe
from agent.drift.contexts import HOURS, Contexts
from agent.drift.evidence import KNOTS, Looks, UsualWindow, log_steps, weigh
from agent.drift.normal import below, score_of
from agent.drift.recent import Block
from agent.drift.reference import HourNormal, Reference

REACH_HOURS = 2.0
"""What was seen so many hours of the day away counts a third."""

_MOST_SCALE, _LEAST_SCALE = np.log(5.0), np.log(100.0)
_CHANCE = 4.0
"""Two standard errors: somebody says that something changed, and the noise is cautiously large."""

_CHANCE_OF_AN_HOUR = 15.0
"""That one hour of 24 differs from the others, in one of 26 features' three aspects: what the largest of as many looks
shows by chance (2 ln n, Donoho and Johnstone)."""
_MOST_ABOVE = 10.0
_LEAST_SHARE = 0.01  # of the boxes: a class seen less often does not become one of the reference's
_PRIOR_BOXES = 10.0
_SAME_RATE = 0.2
_ONE_SIGMA = below([-1.0, 1.0])
_LEVELS = score_of([0.1, 0.3, 0.5, 0.7, 0.9])  # where the levels of windows are
_RANKS = np.broadcast_to((np.arange(KNOTS) + 0.5) / KNOTS, (1, KNOTS))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Change:
    """What blocks (B,) show: `hour` of the day, `windows` (B, F), `shift` (B, F) of values, `sigma` (B, F)
    their usual scatter, `steps` (B, F) the shift of log steps; `aspects` (B, 3, F) evidence of the change: sigma, and
    logarithms of scales. `log` (F,): values are taken as logarithms."""

    hour: NDArray[np.float64]
    windows: NDArray[np.float64]
    shift: NDArray[np.float64]
    sigma: NDArray[np.float64]
    steps: NDArray[np.float64]
    aspects: NDArray[np.float64]
    log: NDArray[np.bool_]

    def mean(self, near: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean evidence (3, F) of blocks that count by `near` (B, 1), and of how many windows (F,)."""
        weights = near * self.windows
        total = weights.sum(axis=0)
        return np.einsum("bf,baf->af", weights, self.aspects) / np.maximum(total, 1e-30), total

    @property
    def scatter(self) -> NDArray[np.float64]:
        """What values scatter by since the change, as far as it is believed to be one, (F,)."""
        scale = np.clip(self.mean(np.ones((len(self.hour), 1)))[0][1], 0.0, _MOST_SCALE)
        usual = self.of_values(self.sigma, np.ones((len(self.hour), 1)))
        return np.asarray(usual * np.exp(scale), dtype=np.float64)

    def of_values(self, values: NDArray[np.float64], near: NDArray[np.float64]) -> NDArray[np.float64]:
        """The mean (F,) of `values` (B, F) of blocks that count by `near` (B, 1)."""
        weights = near * self.windows
        return np.asarray((weights * values).sum(axis=0) / np.maximum(weights.sum(axis=0), 1e-30))


def accept(
    reference: Reference, blocks: Sequence[Block], now: float, settled: Collection[int] = ()
) -> Reference:
    """The reference that takes in `blocks`, at least one; `now` is Unix time.

    Hours of the day in `settled` stay as they are, unless the blocks show them: an earlier acceptance has met them.
    """
    contexts = reference.contexts()
    change = _measure(reference, contexts, blocks)
    wanders = wander(reference.calibration, blocks, change.scatter, change.log)
    seen = {int(hour) for hour in change.hour}
    classes = _Classes(reference, contexts, blocks)
    hours = {
        hour: normal
        if hour in settled and hour not in seen
        else _moved(reference, normal, _Move.at(hour + 0.5, change, reference, wanders), blocks)
        for hour, normal in reference.hours.items()
    }
    hours = {
        hour: replace(each, classes=classes.of(each.classes, kept=each is reference.hours[hour]))
        for hour, each in hours.items()
    }
    return replace(
        reference,
        origin=replace(reference.origin, made_at=now),
        hours=hours,
        class_ids=classes.ids,
        usual=_usual(reference.usual, blocks),
        usual_boxes=reference.usual_boxes or classes.per_window,
        # Blocks do not know how features moved together: after a change that is not judged until a new recording.
        calibration=replace(
            widened(reference.calibration, wanders, _doubt(change, reference, wanders, blocks)),
            pairs=None,
            tails={**reference.calibration.tails, "pairs": ()},
        ),
    )


def _doubt(change: _Change, reference: Reference, wanders: Wander, blocks: Sequence[Block]) -> Doubt:
    """What so many blocks leave uncertain, in stretched scatters, over what a whole day would."""
    before, features = reference.calibration, reference.calibration.features
    wide, stretched = (replace(before, noise=wanders.noise(before, stretched=each)) for each in (False, True))
    whole, windows = change.mean(np.ones((len(change.hour), 1)))
    missed = uncertain(stretched, windows)
    missed[:, :features] = believe(whole, windows, wide, chance=_CHANCE).risk
    missed[0, :features] /= wanders.stretch**2
    refinement, day = before.refinement, WHOLE_SECONDS / reference.origin.window_seconds
    judged = np.concatenate([refinement.most, (refinement.loadings**2).sum(axis=1)], axis=1) > 0.0
    left = missed - uncertain(stretched, np.full(features, day))
    return Doubt(
        level=np.where(judged, np.maximum(left, 0.0), 0.0),
        windows=sum(each.windows for each in blocks),
        day=day,
    )


def _measure(reference: Reference, contexts: Contexts, blocks: Sequence[Block]) -> _Change:
    """Each block against what was normal at its moment."""
    offset, log = reference.calibration.refinement.offset, _in_logarithms(reference, blocks)
    shifts, sigmas, steps, aspects, windows = [], [], [], [], []
    for block in blocks:
        expected = contexts.at((block.start + block.end) / 2)
        normal = _forth(expected.table.values_at(np.broadcast_to(_RANKS, block.knots.shape)), log)
        knots = _typical(block, log)
        shown = _forth(knots, log)
        shift = shown.mean(axis=1) - normal.mean(axis=1)
        known = np.isfinite(shift)
        shift = np.where(known, shift, 0.0)
        low, high = _forth(expected.table.values_at(np.tile(_ONE_SIGMA, (shift.size, 1))), log).T
        looks = _looks(block, knots)
        location = weigh(looks, expected, reference.usual).aspects[0, 0]
        # Scatter is measured where the values were before: far out a table knows neither ranks nor slopes.
        back = weigh(_looks(block, _back(shown - shift[:, None], log)), expected, reference.usual)
        shifts.append(shift)
        sigmas.append(np.nan_to_num((high - low) / 2))
        steps.append(np.nan_to_num(log_steps(looks.steps, reference.usual)[0] - expected.log_steps))
        aspects.append(np.stack([location, back.aspects[0, 1], back.aspects[0, 2]]) - offset)
        windows.append(block.known * known * np.maximum(expected.informative, 0.05))
    return _Change(
        hour=np.array([((each.start + each.end) / 2 % 86400.0) / 3600.0 for each in blocks]),
        windows=np.array(windows),
        shift=np.array(shifts),
        sigma=np.array(sigmas),
        steps=np.array(steps),
        aspects=np.array(aspects),
        log=log,
    )


def _in_logarithms(reference: Reference, blocks: Sequence[Block]) -> NDArray[np.bool_]:
    """The features (F,) that change by factors: positive ones that scatter more evenly in logarithms."""
    found = np.zeros(len(reference.origin.features), dtype=np.bool_)
    for number, name in enumerate(reference.origin.features):
        whole = reference.whole(name)
        if whole.count and whole.minimum > 0 and (_known(number, blocks) > 0).all():
            low, middle, high = whole.quantiles([0.1, 0.5, 0.9])
            # Of a right-skewed feature the middle lies below that of its ends; in logarithms at their geometric mean.
            found[number] = abs(middle - (low + high) / 2) > abs(middle - np.sqrt(low * high))
    return found


def _typical(block: Block, log: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The quantiles (F, KNOTS) of a block's typical window: those of `log` features by the mean of logarithms.

    The logarithm of a mean lies above that, and would pass for a change that nothing made.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        above = np.clip(np.log(block.knots).mean(axis=1) - block.logs, 0.0, _MOST_ABOVE)
    lower = np.exp(-np.where(log & np.isfinite(above), above, 0.0))
    return np.asarray(block.knots * lower[:, None], dtype=np.float64)


def _forth(values: NDArray[np.float64], log: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Values (F, K), those of `log` features as logarithms."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(log[:, None], np.log(values), values)


def _back(values: NDArray[np.float64], log: NDArray[np.bool_]) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):
        return np.where(log[:, None], np.exp(values), values)


def _looks(block: Block, knots: NDArray[np.float64]) -> Looks:
    return Looks(
        knots=knots[None].astype(np.float32),
        counts=block.known[None].astype(np.float32),
        steps=np.where(np.isfinite(block.log_steps), np.exp(block.log_steps), block.steps)[None].astype(
            np.float32
        ),
        frames=np.array([round(block.frames / block.windows)]),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Move:
    """How one hour's distributions move, (F,) each: by `shift`, their scatter and steps by logarithms of scales, the
    scatter besides by factors `stretch`. Windows' levels scatter by `apart`."""

    shift: NDArray[np.float64]
    scale: NDArray[np.float64]
    steps: NDArray[np.float64]
    stretch: NDArray[np.float64]
    apart: NDArray[np.float64]
    log: NDArray[np.bool_]

    @classmethod
    def at(cls, hour: float, change: _Change, reference: Reference, wanders: Wander) -> _Move:
        """At an hour of the day: what was seen as a whole, and what was seen near that hour besides."""
        before = reference.calibration
        calibration = replace(before, noise=wanders.noise(before, stretched=False))
        apart = np.abs(change.hour - hour) % HOURS
        near = np.exp(-np.minimum(apart, HOURS - apart) / REACH_HOURS)[:, None]
        everywhere = np.ones_like(near)
        whole, all_windows = change.mean(everywhere)
        here, windows = change.mean(near)
        all_day = believe(whole, all_windows, calibration, chance=_CHANCE)
        here_too = believe(here - whole, windows, calibration, chance=_CHANCE_OF_AN_HOUR)
        kept, weather, besides, local = all_day.kept, all_day.weather, here_too.kept, here_too.weather
        aspects = kept * (whole - weather) + besides * (here - whole - local)
        shift, sigma = change.of_values(change.shift, everywhere), change.of_values(change.sigma, near)
        shift_here, steps_here = change.of_values(change.shift, near), change.of_values(change.steps, near)
        steps = change.of_values(change.steps, everywhere)
        return cls(
            shift=kept[0] * (shift - weather[0] * sigma)
            + besides[0] * (shift_here - shift - local[0] * sigma),
            scale=np.clip(aspects[1], -_LEAST_SCALE, _MOST_SCALE),
            steps=kept[2] * (steps - weather[2]) + besides[2] * (steps_here - steps - local[2]),
            stretch=wanders.stretch,
            apart=wanders.apart,
            log=change.log,
        )


def _moved(reference: Reference, normal: HourNormal, move: _Move, blocks: Sequence[Block]) -> HourNormal:
    """One hour's normal, moved."""
    sketches = [
        _moved_sketch(reference, number, sketch, move, blocks)
        for number, sketch in enumerate(normal.sketches)
    ]
    return replace(normal, sketches=tuple(sketches), log_steps=normal.log_steps + move.steps)


def _moved_sketch(
    reference: Reference, number: int, sketch: Sketch, move: _Move, blocks: Sequence[Block]
) -> Sketch:
    if not sketch.count:
        return sketch
    shift, scale = float(move.shift[number]), float(move.scale[number])
    if scale >= _MOST_SCALE or (sketch.minimum == sketch.maximum and shift):
        # What scattered by next to nothing does not show how it will.
        return _seen(number, blocks, move, _range(reference, number, blocks))
    scale += float(np.log(move.stretch[number]))
    if not shift and not scale:
        return sketch
    log = move.log[number, None]
    middle = _forth(sketch.quantiles([0.5])[None], log)
    low, high = _range(reference, number, blocks)
    values = sketch.weighted()[0]
    whole = bool((values == np.rint(values)).all())

    def moved(items: NDArray[np.float32]) -> NDArray[np.float32]:
        away = _forth(items[None].astype(np.float64), log) - middle
        out = np.clip(_back(middle + shift + np.exp(scale) * away, log)[0], low, high)
        return np.asarray(_rounded(out) if whole else out, dtype=np.float32)

    return sketch.mapped(moved)


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ascending values of a count made whole: of those between two numbers so many go up as keep the mean."""
    turn = (np.arange(values.size) * 0.6180339887) % 1.0
    return np.maximum.accumulate(np.floor(values + turn)) if values.size > 2 else np.rint(values)


def _range(reference: Reference, number: int, blocks: Sequence[Block]) -> tuple[float, float]:
    """What a feature's values are moved within: what was never below 0 stays so, and what was never above 1."""
    old = [each.sketches[number] for each in reference.hours.values() if each.sketches[number].count]
    ends = [end for each in old for end in (each.minimum, each.maximum)]
    values = np.concatenate([_known(number, blocks), ends])
    return 0.0 if (values >= 0).all() else -np.inf, 1.0 if (values <= 1).all() else np.inf


def _known(number: int, blocks: Sequence[Block]) -> NDArray[np.float64]:
    """The values of one feature that blocks show."""
    knots = np.concatenate([each.knots[number] for each in blocks])
    return np.asarray(knots[np.isfinite(knots)], dtype=np.float64)


def _seen(number: int, blocks: Sequence[Block], move: _Move, within: tuple[float, float]) -> Sketch:
    """What was seen of a feature: each block's typical window, at the levels that windows have."""
    sketch, log = Sketch(), move.log[number, None]
    levels = move.apart[number] * _LEVELS
    for block in blocks:
        shown = _forth(block.knots[number][None], log)[0]
        values = np.clip(_back((shown + levels[:, None]).reshape(1, -1), log)[0], *within)
        sketch.update(np.repeat(values, block.windows).astype(np.float32))
    return sketch


def _usual(usual: UsualWindow, blocks: Sequence[Block]) -> UsualWindow:
    """What windows usually hold, where a feature was never seen before or frames come at another rate."""
    windows = sum(each.windows for each in blocks)
    frames = sum(each.frames for each in blocks) / windows
    known = sum((each.known for each in blocks), np.zeros(usual.counts.size)) / windows
    rate = frames / max(usual.frames, 1e-9)
    new_rate = abs(rate - 1.0) > _SAME_RATE
    counts = np.where(usual.counts > 0, usual.counts * (rate if new_rate else 1.0), known * frames)
    return replace(usual, counts=counts, frames=frames if new_rate else usual.frames)


class _Classes:
    """The class mix that blocks show, against what was expected of them."""

    def __init__(self, reference: Reference, contexts: Contexts, blocks: Sequence[Block]) -> None:
        seen = sum((each.classes for each in blocks), Counter[int]())
        boxes = sum(seen.values())
        new = [
            each
            for each, count in sorted(seen.items())
            if each not in reference.class_ids and count >= _LEAST_SHARE * boxes
        ]
        self.ids = (*reference.class_ids, *new)
        self.per_window = boxes / sum(each.windows for each in blocks)
        expected = np.zeros(len(self.ids))
        for block in blocks:
            shares = contexts.at((block.start + block.end) / 2).shares
            expected[: shares.size] += shares * sum(block.classes.values())
        counts = np.array([seen[each] for each in self.ids], dtype=np.float64)
        self._share = counts / max(boxes, 1.0)
        self._ratio = (counts + _PRIOR_BOXES) / (expected + _PRIOR_BOXES)
        self._known = len(reference.class_ids)

    def of(self, classes: NDArray[np.float64], *, kept: bool) -> NDArray[np.float64]:
        """Boxes by class (C,) of one hour as they are to be expected now, of as many in all."""
        total = float(classes.sum())
        grown = np.concatenate([classes, np.zeros(len(self.ids) - self._known)])
        if kept or not total:
            return grown
        grown[: self._known] *= self._ratio[: self._known]
        grown[self._known :] = total * self._share[self._known :]
        return np.asarray(grown * (total / max(float(grown.sum()), 1e-9)), dtype=np.float64)
