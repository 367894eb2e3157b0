"""The judge of one camera: window after window against a reference, in constant space and time.

Pure and deterministic: the same windows give the same verdicts, also across a restart (`state`, `restore`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core.errors import ReferenceMismatch
from agent.core.untrusted import restore_kept, take_number, take_object
from agent.drift.alarm import Alarm, Gauge, Of, Shown
from agent.drift.contexts import HOURS, Expected, hour_of
from agent.drift.daily import Daily
from agent.drift.day_kinds import kind_key, why_unseen
from agent.drift.describe import Describer
from agent.drift.distances import Reached, class_shares
from agent.drift.evidence import KNOTS, look
from agent.drift.excursions import DISTINCT, Excuse
from agent.drift.light import LightFollower, SeenLight
from agent.drift.memory import AGES
from agent.drift.nearest import FARTHEST, REACH_SECONDS, Elapsed, weigh_nearest
from agent.drift.new_days import UNSEEN_TRUST, NewDays
from agent.drift.passing import Passing
from agent.drift.patience import Patience
from agent.drift.recording import tally
from agent.drift.reference import Reference
from agent.drift.remembered import QUANTILES, Remembered
from agent.drift.retrial import Retrial, TrialDay
from agent.drift.scoring import Scored, Scorer
from agent.drift.sketch import LATEST, WindowSketch
from agent.drift.verdict import DriftVerdict

FAMILIAR_RATIO = 0.99
"""What the ratio of a familiar excursion is shown as at most: it is no alarm, of a rule neither."""

LEAST_SHARE = 0.1
"""A window with less than this share of the usual frames is not judged."""

CLOCK_SLACK = 86400.0
"""Seconds by which a window may lie before the reference's making; more, and the clock is wrong."""

_KNOT_PLACES = np.rint(QUANTILES * KNOTS - 0.5).astype(int)


class DriftJudge:
    """Holds what one camera's last windows showed, and judges the next."""

    def __init__(
        self,
        reference: Reference,
        false_alarms_per_month: float = 1.0,
        *,
        utc_offset: Callable[[float], float] | None = None,
        after: DriftJudge | None = None,
        grown: bool = False,
    ) -> None:
        """`utc_offset` gives the seconds that local time is ahead of UTC at a Unix time; without it, clocks stay as
        they were in the reference. Light is followed from where the judge before, `after`, saw it last; where the
        reference has `grown` from that judge's, what has become familiar stays so, and raised limits stay raised."""
        self.reference, self._utc_offset = reference, utc_offset
        self._contexts, self._minutes = reference.contexts(), reference.origin.window_seconds / 60.0
        self.set_budget(false_alarms_per_month)
        self._remembered = Remembered(reference, self._scorer.columns, self._scorer.limits.mix.size)
        self._last_end: float | None = None
        self._alarm, self._excuse, self._ratio, self._in_vain = Alarm(), Excuse(), 0.0, False
        self._passing, self._patience, self._daily = Passing(), Patience(), Daily()
        self._retrial: Retrial | None = None
        self._shown: dict[Of, Shown] = {}
        self._kinds_seen, self._new_days = reference.kinds_seen(), NewDays()
        self._seen_light, self._gap = SeenLight(reference), 1.0
        self._light: LightFollower = after._light.onward() if after else LightFollower()
        if after is not None and grown:
            known = after.reference.calibration.refinement, reference.calibration.refinement
            self._passing = after._passing.converted(*known)
            self._patience, self._new_days = after._patience, after._new_days

    def set_budget(self, false_alarms_per_month: float) -> None:
        """Judge by another budget of false alarms from now on."""
        self._budget, seconds = false_alarms_per_month, self.reference.origin.window_seconds
        self._scorer = Scorer(self.reference.calibration, false_alarms_per_month, seconds)
        self._describer = Describer(self.reference, self._scorer.limits)

    @property
    def alarm(self) -> bool:
        """Whether the alarm is on."""
        return self._daily.since is not None

    @property
    def alarm_since(self) -> float | None:
        """The end of the window at which the alarm that is on went on."""
        return self._daily.since

    def judge(self, window: WindowSketch, now: float, *, synced: bool = False) -> DriftVerdict:
        """The verdict on the next window; `now` is Unix time, `synced` whether it is known to be right.

        Raises ReferenceMismatch where the window's features are not those of the reference.
        """
        self._check(window)
        moment = (window.start + window.end) / 2.0
        expected = self._contexts.at(moment)
        reason = self._unfit(window, expected, now, synced=synced)
        if not reason and self._light.step(self._seen_light, window):
            reason = "neither this hour nor this light is in the reference yet: judged again once either is"
            if self._alarm.since is not None and self._light.began(self._seen_light, self._alarm.since):
                self._alarm, self._daily = Alarm(), Daily()
                self._begin_anew()
        if reason:
            return self._silent(window, expected, reason)
        return self._verdict(window, self._take(window, moment))

    # -- taking a window in -----------------------------------------------------------------------------

    def _check(self, window: WindowSketch) -> None:
        origin = self.reference.origin
        if (window.features, window.feature_version) != (origin.features, origin.feature_version):
            raise ReferenceMismatch(
                f"camera {window.camera!r} sends features of version {window.feature_version}, "
                f"the reference has {origin.feature_version}: record a new one"
            )

    def _unfit(self, window: WindowSketch, expected: Expected, now: float, *, synced: bool) -> str:
        """Why this window cannot be judged; empty if it can."""
        origin = self.reference.origin
        if window.frames < max(1.0, LEAST_SHARE * self.reference.usual.frames):
            return f"{window.frames} usable frames in the window, normally {self.reference.usual.frames:.0f}"
        if not synced and min(now, window.end) < origin.made_at - CLOCK_SLACK:
            return "the clock is before the time at which the reference was made"
        if not self.reference.any_hour and expected.distance > FARTHEST:
            return "this hour of the day is not in the reference"
        return ""

    def _take(self, window: WindowSketch, moment: float) -> Expected:
        """Remember a window; what it was compared with."""
        reference, gap = self.reference, self._windows_since(window)
        looks = look(window)
        [fit] = weigh_nearest(looks, self._contexts, moment, reference.usual, self._passed(window, moment))
        expected, evidence = fit.expected, fit.evidence
        seen_before, refinement = self._kind_seen(window), reference.calibration.refinement
        self._new_days.turn(window.start + reference.origin.utc_offset, alarm=self._alarm.on)
        trust = 1.0 if seen_before else UNSEEN_TRUST
        refined = refinement(evidence.aspects[0], evidence.trust[0], fit.hours)
        speaks = self._contexts.speaks(moment, REACH_SECONDS)
        weight = refinement.weights(evidence.trust[0], speaks, fit.hours)
        self._shown = {Of.FEATURES: Shown(evidence=refined, weight=weight)}
        ranks = evidence.ranks[0]
        if not seen_before:
            key = kind_key(window.start, reference.origin.utc_offset)
            usual = reference.calibration.usual_distance
            large, [ranks] = self._new_days.beyond(key, evidence, refinement.offset, usual)
            self._new_days.add(key, evidence)
            refined = refinement(large[0], evidence.trust[0], fit.hours)
        filled = np.clip(looks.counts[0] / np.maximum(reference.usual.counts, 1.0), 0.0, 1.0)
        counts = tally(window.classes, reference.class_ids)
        if (mix := reference.calibration.mix) is not None:
            at = hour_of(window.start)
            mixed, shows = mix.shown(counts, expected.shares, at, reference.usual_boxes)
            self._shown[Of.CLASSES] = Shown(evidence=trust * mixed, weight=trust * shows)
        seen, normal = class_shares(counts, expected.shares, reference.usual_boxes)
        tried = [] if self._retrial is None or self._retrial.day.found else [self._retrial.anew]
        for each in (self._remembered, *tried):
            each.add_evidence(refined, gap, known=seen_before)
            if Of.CLASSES in self._shown:
                each.add_classes(self._shown[Of.CLASSES].evidence, gap)
            if gap > 1:
                each.fading.rest(gap - 1)
            each.fading.add(ranks, filled, seen, normal)
        self._remembered.add_knots(looks.knots[0][:, _KNOT_PLACES])
        self._patience.rest(gap * reference.origin.window_seconds, self._budget)
        self._last_end, self._gap = window.end, gap
        return expected

    def _passed(self, window: WindowSketch, moment: float) -> Elapsed:
        origin = self.reference.origin
        offset = origin.utc_offset if self._utc_offset is None else self._utc_offset(moment)
        unseen = not self._kind_seen(window)
        return Elapsed.since(origin.end, moment, origin.utc_offset, offset, unseen=unseen)

    def _kind_seen(self, window: WindowSketch) -> bool:
        """Whether the reference saw enough of this hour on such a day (a weekday, a weekend)."""
        kind, hour = divmod(kind_key(window.start, self.reference.origin.utc_offset), HOURS)
        return bool(self._kinds_seen[hour, kind])

    def _windows_since(self, window: WindowSketch) -> float:
        """How many windows after the last one this one ends; 1 where the clock went back."""
        if self._last_end is None:
            return 1.0
        return max(1.0, round((window.end - self._last_end) / self.reference.origin.window_seconds))

    # -- saying what it means ---------------------------------------------------------------------------

    def _verdict(self, window: WindowSketch, expected: Expected) -> DriftVerdict:
        remembered, scored = self._remembered, self._scorer(self._remembered.memory)
        features = self._describer.features(scored, remembered, expected.table)
        reached = self._describer.reached(remembered)
        classes = self._describer.classes(remembered, reached.mix)
        pair = self._describer.pair(remembered.pairs, reached.pairs)
        raised, ratio = self._patience.factor, self._ratio_of(scored, reached)
        kind = kind_key(window.start, self.reference.origin.utc_offset) // HOURS
        familiar = self._alarm_step(window.end, kind, scored, reached)
        passed, pause_ends = self._gap * self.reference.origin.window_seconds, self._daily.pause_ends
        calm_day = self._in_vain or (pause_ends is not None and window.end >= pause_ends)
        self._daily.step(self._alarm.since, window.end, passed, kind, again=self._alarm.again)
        if self._alarm.on:
            self._patience.during(ratio)
        elif raised > 1.0:  # what is below its raised limit is not over it
            ratio = ratio / raised
            features = tuple(replace(each, ratio=each.ratio / raised) for each in features)
            classes = classes and replace(classes, ratio=classes.ratio / raised)
            pair = pair and replace(pair, ratio=pair.ratio / raised)
        self._ratio = min(ratio, FAMILIAR_RATIO) if familiar else ratio
        return DriftVerdict(
            camera=window.camera,
            start=window.start,
            end=window.end,
            judged=True,
            reason=self._why_provisional(window),
            provisional=self.reference.provisional or not self._kind_seen(window),
            ratio=self._ratio,
            familiar=familiar,
            joint=float(scored.joint),
            joint_limit=self._scorer.limits.joint * (1.0 if self._alarm.on else raised),
            joint_minutes=float(AGES[scored.together]) * self._minutes,
            hour=expected.hour,
            features=features,
            classes=classes,
            pair=pair,
            alarm=self.alarm,
            alarm_since=self.alarm_since,
            raised=raised,
            pause_ends=self._daily.pause_ends,
            normal_until=self._normal_until,
            calm_day=calm_day and not self.alarm,
        )

    @property
    def _normal_until(self) -> float | None:
        """When the change that the alarm is on for may have begun."""
        if self._alarm.since is None or self._retrial is None:
            return self._daily.since
        return self._alarm.since - self._retrial.day.least * self.reference.origin.window_seconds

    def _ratio_of(self, scored: Scored, reached: Reached) -> float:
        """The largest of all that is judged, over its limit."""
        return max(float(self._scorer.ratio(scored)), reached.top)

    def _alarm_step(self, now: float, kind: int, scored: Scored, reached: Reached) -> bool:
        """Raise or end the alarm, on a day of this kind; whether what is over the limit is a familiar excursion."""
        self._in_vain = False
        if self._alarm.on:
            change, since, age = self._alarm.whole, self._alarm.since, self._alarm.age
            if self._watch(reached):
                self._patience.ended()
            elif not self._tried_in_vain(kind, shows=self._alarm.age > age):
                return False
            self._note_passed(change, since, now)
            self._begin_anew()
            return False
        ratio, limit = float(self._scorer.ratio(scored)), self._patience.factor
        if max(ratio, reached.top) < limit:
            self._excuse.rest(1)
            return False
        known = self._passing.joined(self.reference.calibration.excursions)
        seen = self._scorer.seen(self._remembered.memory, scored)
        if self._excuse.step(known, seen):
            if self._excuse.number is not None:
                self._passing.seen(known.directions[self._excuse.number], now)
            if self._excuse.gone(known, seen):
                self._remembered.begin_anew()
            return True
        # Of several that are over their limits evidence is chosen: what is left of it shows soonest.
        if ratio >= limit:
            self._raise(now, self._remembered.memory, *self._scorer.changed(scored), Of.FEATURES)
        elif reached.mix.ratio >= limit:
            self._raise(now, self._remembered.classes, *reached.mix[1:], Of.CLASSES)
        else:
            self._alarm.raise_by_distance(now, reached)
        if self._alarm.of is not Of.FEATURES:
            self._alarm.whole = self._remembered.memory[..., DISTINCT]
        self._begin_retrial(kind)
        return False

    def _begin_retrial(self, kind: int) -> None:
        limit = self._patience.after(self._patience.factor)
        self._retrial = Retrial(TrialDay.of(kind, self._alarm.found_in, limit), self._remembered.anew())

    def _tried_in_vain(self, kind: int, *, shows: bool) -> bool:
        """Whether a judge that began anew has not raised the alarm that is on, and so it is over."""
        assert self._retrial is not None
        day, anew, ratio = self._retrial.day, self._retrial.anew, 0.0
        if not day.found:
            ratio = self._ratio_of(self._scorer(anew.memory), self._describer.reached(anew))
        higher, seconds = self._patience.after(day.limit), self.reference.origin.window_seconds
        if not self._retrial.step(kind, seconds, shows=shows, ratio=ratio, higher=higher):
            return False
        self._patience.ended(day.limit)
        self._daily, self._in_vain = Daily(), True
        return self._alarm.end()

    def _raise(
        self, now: float, memory: NDArray[np.float64], changed: NDArray[np.bool_], age: int, of: Of
    ) -> None:
        self._alarm.raise_by_change(now, memory, self._shown[of].weight, changed, age, self._gauge(of), of)

    def _watch(self, reached: Reached) -> bool:
        """Whether the alarm that is on has just gone off."""
        if self._alarm.of is Of.DISTANCES:
            return self._alarm.watch_distance(reached, self._gap)
        of = self._alarm.of
        return of in self._shown and self._alarm.watch_change(self._shown[of], self._gauge(of))

    def _gauge(self, of: Of) -> Gauge:
        """What measures the evidence that raised the alarm."""
        return self._describer.mix_gauge if of is Of.CLASSES else self._scorer.gauge

    def _note_passed(self, change: NDArray[np.float64] | None, since: float | None, now: float) -> None:
        """What raised an alarm has gone by itself: a `change` (3, C) of evidence, None where distances showed it."""
        if change is None or since is None or self._daily.daily:
            return
        window = self.reference.origin.window_seconds
        began = since - self._excuse.lasted * window  # when it was over a limit first, and excused until then
        self._passing.add(change / self.reference.calibration.refinement.units, began, now, window)

    def _begin_anew(self) -> None:
        """After an alarm: its drift must not be taken for what was there before."""
        self._excuse, self._retrial = Excuse(calm=0), None
        self._remembered.begin_anew()

    def _why_provisional(self, window: WindowSketch) -> str:
        if self._kind_seen(window):
            return self.reference.why_provisional
        return why_unseen(kind_key(window.start, self.reference.origin.utc_offset) // HOURS)

    def _silent(self, window: WindowSketch, expected: Expected, reason: str) -> DriftVerdict:
        return DriftVerdict.not_judged(
            (window.camera, window.start, window.end),
            reason,
            provisional=self.reference.provisional,
            ratio=self._ratio,
            joint_limit=self._scorer.limits.joint,
            hour=expected.hour,
            alarm_since=self.alarm_since,
        )

    # -- across restarts --------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What has been seen, as JSON-able values (43 kB for 24 features, twice that in alarm, and 15 kB of events)."""
        return {
            "reference": self.reference.id,
            **self._remembered.state(),
            "last_end": self._last_end,
            "excuse": self._excuse.state(),
            "passing": self._passing.state(),
            "patience": self._patience.state(),
            "light": self._light.to_json(),
            "new_days": self._new_days.state(),
            "alarm": self._alarm.state(),
            "daily": self._daily.state(),
            "retrial": None if self._retrial is None else self._retrial.state(),
            "ratio": self._ratio,
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
        remembered, features = self._remembered.restored(state), len(self.reference.origin.features)
        last_end = take_number(state, "last_end", None, minimum=0.0, maximum=LATEST)
        new_days = restore_kept(state, "new_days", lambda kept: NewDays.restore(kept, features), NewDays())
        light = restore_kept(state, "light", LightFollower.restore, LightFollower())
        patience = restore_kept(state, "patience", Patience.restore, Patience())
        columns = self._scorer.columns
        passing = restore_kept(state, "passing", lambda kept: Passing.restore(kept, columns), Passing())
        known = passing.joined(self.reference.calibration.excursions)
        excuse = restore_kept(state, "excuse", lambda kept: Excuse.restore(kept, known), Excuse())
        memories = {Of.FEATURES: remembered.memory, Of.CLASSES: remembered.classes}
        alarm = Alarm.restore(take_object(state, "alarm"), memories, features)
        retrial = restore_kept(state, "retrial", lambda kept: Retrial.restore(kept, remembered), None)
        self._ratio = take_number(state, "ratio", 0.0, minimum=0.0)
        self._excuse, self._passing, self._patience, self._light = excuse, passing, patience, light
        self._remembered, self._last_end, self._alarm, self._new_days = remembered, last_end, alarm, new_days
        self._daily = restore_kept(state, "daily", Daily.restore, Daily(alarm.since, alarm.since))
        self._retrial = retrial if alarm.on else None
        if alarm.on and retrial is None:
            self._begin_retrial(0)


Judge = DriftJudge  # its name until 2026-11-26, by which others' scripts still import it
