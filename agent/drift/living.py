"""A living reference: updated day by day with what was judged normal; the recording stays as the anchor.

    window judged normal ──▶ its hour ──(a day without an alarm)──▶ settled ──(a day of settled hours)──▶ renewed
    an alarm ──▶ what was seen since its change may have begun is discarded: a drift begins before it is found
    an alarm that is over as a day was judged anew and nothing found (`retrial.py`, `daily.py`) ──▶ that day was normal

Each day counts a fifth of what is normal then (the day before four fifths of that, and so on: 98 % come from the last
17 days, 99.8 % from 28). What moves by a sigma in a week runs ahead of that by more than half a sigma, which is an
alarm within hours; what is slower is followed, and reported as creep against the reference that was recorded.
Limits and noise are in scores, which do not change when values and what is normal move together.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core.arrays import array, numbers
from agent.core.kll import Sketch, drawn
from agent.core.untrusted import BadInput, take_list, take_number, take_object
from agent.drift.contexts import hour_of
from agent.drift.day_kinds import hours_between
from agent.drift.evidence import UsualWindow, log_steps, look
from agent.drift.recording import KEPT_ITEMS
from agent.drift.reference import HourNormal, Reference
from agent.drift.sketch import LATEST, WindowSketch
from agent.drift.storage import class_counts, sketches_of

SETTLE_SECONDS = 86_400.0
"""So long after an hour no alarm may go on before it is taken in: small changes are found within half a day."""

RENEW_SECONDS = 86_400.0
NEWEST = 0.2
"""The part of the newest day in what is normal; more while fewer than four days are known."""

LONGEST_SECONDS = 28 * 86_400.0
HOUR_SECONDS = 3600.0

CAUTION_SECONDS = 6 * HOUR_SECONDS
"""So much of what was normal before a change seems to have begun is not trusted either."""

ITEMS = 32
"""Values kept per feature of an hour that waits: it counts a fifth at most, and so bends ranks by half a per cent."""

DOUBTFUL_HOURS = 25
"""Of an alarm that is on: a day, and the hour under way."""

_MOST_HOURS = 96
_GOLDEN, _SILVER = 0.6180339887498949, 0.41421356237309515
"""Their multiples are spread evenly over 0..1: no hour and no feature is bent the same way as the next."""

_SIGMAS_WITHIN = 2.563  # a normal distribution's, from its 10th to its 90th percentile


@dataclass(slots=True, eq=False)
class NormalHour:
    """Windows of one hour that were judged normal: a sketch per feature, sums of log steps and their number (F, 2),
    boxes by class; `seconds` covered."""

    start: float
    seconds: float
    sketches: list[Sketch]
    log_steps: NDArray[np.float64]
    classes: Counter[int]

    def add(self, window: WindowSketch, usual: UsualWindow) -> None:
        """Add a window of this hour."""
        logs = log_steps(look(window).steps, usual)[0]
        known = np.isfinite(logs)
        self.log_steps = self.log_steps + np.stack([np.where(known, logs, 0.0), known], axis=1)
        for sketch, more in zip(self.sketches, window.sketches, strict=True):
            sketch.merge(more)
        self.classes.update(window.classes)
        self.seconds += window.seconds


class NormalHours:
    """The hours that wait to be taken in, oldest first; and the last day's of an alarm that is on, `doubtful`."""

    def __init__(self) -> None:
        self.hours: list[NormalHour] = []
        self.doubtful: list[NormalHour] = []

    def add(self, window: WindowSketch, usual: UsualWindow) -> None:
        """Add a window that was judged normal: no alarm is on."""
        self.doubtful = []
        self.hours = _with(self.hours, window, usual, _MOST_HOURS)

    def doubt(self, window: WindowSketch, usual: UsualWindow, normal_until: float) -> None:
        """Put aside a window of an alarm that is on, and discard what was seen since its change may have begun."""
        self.cut(normal_until)
        self.doubtful = _with(self.doubtful, window, usual, DOUBTFUL_HOURS)

    def cut(self, normal_until: float) -> None:
        """Discard the hours that may hold some of a change which seems to have begun then."""
        last = normal_until - CAUTION_SECONDS - HOUR_SECONDS
        self.hours = [each for each in self.hours if each.start <= last]

    def trust(self, since: float) -> None:
        """What was doubtful is known to have been normal `since` then."""
        since = max([since, *(each.start + HOUR_SECONDS for each in self.hours)])  # clocks go back
        known = [each for each in self.doubtful if each.start >= since]
        self.hours, self.doubtful = [*self.hours, *known][-_MOST_HOURS:], []

    def discard(self) -> None:
        """Another reference is in force: nothing is known to be normal."""
        self.hours, self.doubtful = [], []

    def take(self, now: float) -> list[NormalHour]:
        """The hours that have settled, a day of them, which wait no longer; none where it is too early."""
        if not self.hours or now - self.hours[0].start < SETTLE_SECONDS + RENEW_SECONDS:
            return []
        settled = [each for each in self.hours if each.start + HOUR_SECONDS <= now - SETTLE_SECONDS]
        self.hours = self.hours[len(settled) :]
        return settled

    def state(self) -> list[dict[str, Any]]:
        """As JSON values (300 kB for two days of 26 features)."""
        return [
            {
                "start": each.start,
                "seconds": each.seconds,
                "sketches": [
                    base64.b64encode(sketch.compact(ITEMS).to_bytes()).decode() for sketch in each.sketches
                ],
                "log_steps": numbers(each.log_steps),
                "classes": {str(number): count for number, count in each.classes.items()},
            }
            for each in self.hours
        ]

    @classmethod
    def restore(cls, state: object, features: int) -> NormalHours:
        """What `state` gave; ValueError for anything else."""
        made = cls()
        entries = take_list({"hours": state}, "hours", longest=_MOST_HOURS)
        made.hours = [_restored(take_object({"hour": each}, "hour"), features) for each in entries]
        starts = [each.start for each in made.hours]
        if starts != sorted(set(starts)):
            raise BadInput("`hours` are out of order")
        return made


def _with(
    hours: Sequence[NormalHour], window: WindowSketch, usual: UsualWindow, most: int
) -> list[NormalHour]:
    """The hours with one more window, the newest `most` of them."""
    if not window.frames:
        return list(hours)
    start = window.start // HOUR_SECONDS * HOUR_SECONDS
    # Where the clock went back, what lies ahead of it was under a wrong time.
    kept = [each for each in hours if each.start <= start]
    if not kept or kept[-1].start != start:
        if kept:
            kept[-1].sketches = [each.even(ITEMS) for each in kept[-1].sketches]
        width = len(window.sketches)
        hour = NormalHour(start, 0.0, [Sketch() for _ in range(width)], np.zeros((width, 2)), Counter())
        kept = [*kept, hour][-most:]
    kept[-1].add(window, usual)
    return kept


def _restored(entry: Mapping[str, Any], features: int) -> NormalHour:
    return NormalHour(
        start=take_number(entry, "start", minimum=0.0, maximum=LATEST),
        seconds=take_number(entry, "seconds", minimum=0.0, maximum=LATEST),
        sketches=list(sketches_of(entry, features)),
        log_steps=array(entry, "log_steps", (features, 2)),
        classes=class_counts(entry),
    )


def renew(reference: Reference, hours: Iterable[NormalHour], now: float, utc_offset: float) -> Reference:
    """The reference that takes in `hours`, at least one, settled; `now` is Unix time, `utc_offset` in seconds.

    It is dated by when the last of them had settled: `now` may be years ahead while a clock is wrong, and a reference
    of the future would judge nothing once it is right.
    """
    taken = list(hours)
    origin, normal = reference.origin, dict(reference.hours)
    newest = max(NEWEST, 1.0 / (origin.covered / RENEW_SECONDS + 1.0))
    for hour in taken:
        at = hour_of(hour.start)
        share = newest * min(1.0, hour.seconds / HOUR_SECONDS)
        normal[at] = (
            _renewed(normal[at], hour, share, reference.class_ids)
            if at in normal
            else _new(hour, reference.class_ids)
        )
    end = max(origin.end, taken[-1].start + HOUR_SECONDS)
    covered = min(origin.covered + sum(each.seconds for each in taken), LONGEST_SECONDS)
    start = max(origin.start, end - LONGEST_SECONDS)
    return replace(
        reference,
        origin=replace(
            origin,
            made_at=min(now, taken[-1].start + HOUR_SECONDS + SETTLE_SECONDS),
            start=start,
            end=end,
            covered=max(covered, origin.covered),
            utc_offset=utc_offset,
        ),
        hours=normal,
        seen=_seen(reference, taken, start),
    )


def _seen(reference: Reference, taken: Sequence[NormalHour], start: float) -> tuple[int, ...]:
    """The hours since 1970 that a reference from `start` on rests on, with those `taken` in."""
    before = reference.seen or hours_between(reference.origin.start, reference.origin.end)
    every = {*before, *(int(each.start // HOUR_SECONDS) for each in taken)}
    return tuple(sorted(hour for hour in every if hour >= start // HOUR_SECONDS))


def _renewed(normal: HourNormal, hour: NormalHour, share: float, class_ids: Sequence[int]) -> HourNormal:
    logs, boxes, total = _log_steps(hour), _boxes(hour, class_ids), normal.classes.sum()
    hours = hour.start // HOUR_SECONDS
    mixed = normal.log_steps + share * (logs - normal.log_steps)
    classes = boxes if not total else normal.classes
    if total and boxes.sum():
        classes = (1.0 - share) * normal.classes + share * total / boxes.sum() * boxes
    return HourNormal(
        sketches=tuple(
            blend(old, new, share, (_GOLDEN * hours + _SILVER * number) % 1.0)
            for number, (old, new) in enumerate(zip(normal.sketches, hour.sketches, strict=True))
        ),
        log_steps=np.where(
            np.isnan(logs), normal.log_steps, np.where(np.isnan(normal.log_steps), logs, mixed)
        ),
        classes=classes,
    )


def _new(hour: NormalHour, class_ids: Sequence[int]) -> HourNormal:
    return HourNormal(
        sketches=tuple(each.even(KEPT_ITEMS) for each in hour.sketches),
        log_steps=_log_steps(hour),
        classes=_boxes(hour, class_ids),
    )


def _log_steps(hour: NormalHour) -> NDArray[np.float64]:
    total, known = hour.log_steps.T
    return np.asarray(np.where(known > 0, total / np.maximum(known, 1.0), np.nan), dtype=np.float64)


def _boxes(hour: NormalHour, class_ids: Sequence[int]) -> NDArray[np.float64]:
    return np.array([hour.classes[number] for number in class_ids], dtype=np.float64)


def blend(old: Sketch, new: Sketch, share: float, part: float = 0.5) -> Sketch:
    """KEPT_ITEMS values of which `share` come from `new`: of each equal part of the whole the one at `part`, 0..1.

    Were that the middle each time, a small change would never be followed: the value that was there covers it time and
    again. Ends that lie further in fade by that share, and so does an outlier.
    """
    if not (old.count and new.count):
        return old if old.count else new.even(KEPT_ITEMS)
    (first, before), (second, after) = old.weighted(), new.weighted()
    values = np.concatenate([first, second])
    weights = np.concatenate([(1.0 - share) * before / before.sum(), share * after / after.sum()])
    order = np.argsort(values, kind="stable")
    kept = drawn(values[order], weights[order], KEPT_ITEMS, part)
    low = min(new.minimum, old.minimum + share * (new.minimum - old.minimum), float(kept[0]))
    high = max(new.maximum, old.maximum + share * (new.maximum - old.maximum), float(kept[-1]))
    return Sketch.evenly(kept, low, high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Creep:
    """How far one feature's median has moved, `then` and `now`, over all hours of the day, in `sigmas` of an hour."""

    feature: str
    then: float
    now: float
    sigmas: float


def creep(anchor: Reference, reference: Reference) -> tuple[Creep, ...]:
    """How far each feature has moved since `anchor`, of the same features; the farthest first."""
    common = [hour for hour in anchor.hours if hour in reference.hours]
    found = []
    for number, name in enumerate(anchor.origin.features):
        pairs = [
            (anchor.hours[hour].sketches[number], reference.hours[hour].sketches[number]) for hour in common
        ]
        known = [
            (old.quantiles([0.1, 0.5, 0.9]), new.quantiles([0.5]))
            for old, new in pairs
            if old.count and new.count
        ]
        if not known:
            continue
        then, now = (float(np.mean([each[part][-1 if part else 1] for each in known])) for part in (0, 1))
        scatter = float(np.median([old[2] - old[0] for old, _ in known])) / _SIGMAS_WITHIN
        if scatter > 0:
            found.append(Creep(feature=name, then=then, now=now, sigmas=(now - then) / scatter))
    return tuple(sorted(found, key=lambda each: -abs(each.sigmas)))
