"""The alert engine: observations in, alerts out; the one place that every rule and verdict passes.

Laws
----
1. Every rule lives on every target that its metric was observed for, each with a state machine (`machine`).
2. A firing alert is told once, unless something holds it back: a mute, a snooze, a fault upstream that
   explains it, a worse or earlier alert of its group. It is told when nothing holds it back any more, and
   again every `repeat` seconds of its rule while it goes on and nobody acknowledged it.
3. What was told as firing is told as resolved, whatever holds back: a retained alert must not stay.
4. After a restart nothing is told anew; what is not observed again within `stale_seconds` is resolved, and a
   fault of a camera that is not found again within SETTLE_SECONDS.
5. When the wall clock is set, everything remembered moves with it: holds neither jump nor freeze.
6. Memory is bounded: MOST_TRACKS targets, beyond that `refused` counts what was left out. So is what is told:
   of each severity MOST_TOLD alerts at a time; `waiting` counts those that wait for their turn.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.alerts import controls as people
from agent.alerts import telling
from agent.alerts.controls import Control, ControlKind, Controls
from agent.alerts.evaluators import Evaluation
from agent.alerts.grouping import RANK, GroupKey, group_of
from agent.alerts.rules import Rule
from agent.alerts.state_machine import Phase
from agent.alerts.track import Track, alert_from_json, alert_to_json, track_from_json
from agent.alerts.watch import Watch
from agent.core.errors import VedetteError
from agent.core.nearest import nearest, unknown
from agent.core.types import Alert, AlertEvent, Labels, Observation, Severity

MOST_ALSO = 20
MOST_TOLD = 500
TOO_MANY = f"{MOST_TOLD} alerts of its severity are told already"
CLOCK_STEP_SECONDS = 5.0  # a smaller difference between the clocks is drift, not a clock that was set


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveAlert:
    """A pending or firing alert as it stands; `held_back` says why it was not told, if it was not."""

    alert: Alert
    told: bool
    held_back: str = ""


class AlertEngine:
    """Judges observations by rules and tells what came of it. Belongs to one thread; reads no clock.

    `window_seconds` is how often summaries come: a value counts as fresh for three windows, five minutes at
    least.
    """

    def __init__(self, rules: Sequence[Rule], *, window_seconds: float = 60.0) -> None:
        self.controls = Controls()
        self._watch = Watch(
            stale_seconds=max(300.0, 3 * window_seconds),
            linger_seconds=1.5 * window_seconds,
            limit_of=self._limit,
            on_end=self._end,
        )
        self.waiting = 0
        self._untold: list[Alert] = []
        self._clocks: tuple[float, float | None] | None = None
        self._utc_offset = 0.0
        self._watch.set_rules(rules)

    def set_rules(self, rules: Sequence[Rule]) -> None:
        """Judge by `rules` from now on; alerts of rules that are gone resolve at the next step."""
        self._watch.set_rules(rules)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules judged by."""
        return self._watch.rules

    def unseen(self) -> list[tuple[Rule, str]]:
        """People's own rules that nothing was observed for yet, each with an observed name that was perhaps meant."""
        known = sorted(self._watch.metrics)
        return [
            (rule, nearest(rule.condition.metric, known, cutoff=0.8) or "")
            for rule in self._watch.unseen()
            if not rule.default
        ]

    @property
    def refused(self) -> int:
        """How often something was left out because memory is bounded."""
        return self._watch.refused

    def forget(self, labels: Labels, now: float) -> None:
        """Targets with these labels (a camera that was removed) are gone; `step` tells that their alerts resolve."""
        self._watch.forget(labels, now)

    def step(
        self,
        observations: Iterable[Observation],
        now: float,
        *,
        monotonic: float | None = None,
        utc_offset: float = 0.0,
    ) -> list[Alert]:
        """What is to be told at `now` (Unix time), after `observations` that came since the last step.

        `monotonic` seconds tell a clock that was set from time that passed; `utc_offset` (seconds) makes the
        local time of schedules.
        """
        self._utc_offset = utc_offset
        self._follow_clock(now, monotonic)
        for observation in sorted(observations, key=lambda item: item.at):
            self._watch.observe(observation, min(observation.at, now))
        self._watch.tick(now)
        self._announce(now)
        alerts, self._untold = self._untold, []
        return alerts

    def _follow_clock(self, now: float, monotonic: float | None) -> None:
        if self._clocks is not None:
            passed = now - self._clocks[0]
            true_passed = (
                monotonic - self._clocks[1]
                if monotonic is not None and self._clocks[1] is not None
                else max(passed, 0.0)
            )
            if abs(passed - true_passed) > CLOCK_STEP_SECONDS:
                self._watch.shift(passed - true_passed)
        self._clocks = (now, monotonic)

    def _end(self, track: Track, rule: Rule | None, reading: Evaluation | None, at: float) -> None:
        if track.announced:
            limit = self._limit(rule, track.labels) if rule is not None else 0.0
            controls = self._controls_of(track, at)
            self._untold.append(telling.resolved(track, rule, reading, limit, controls=controls, at=at))
        self.controls = people.settle(self.controls, track.id)
        track.announced, track.told = False, None

    def _limit(self, rule: Rule, labels: Labels) -> float:
        changed = people.limit_by(self.controls, rule.name, labels) if self.controls.entries else None
        if changed is not None and changed.value is not None:
            return changed.value
        return rule.condition.limit

    # -- telling ----------------------------------------------------------------------------------------

    def _announce(self, now: float) -> None:
        self.controls = people.expire(self.controls, now)
        firing = self._watch.firing()
        candidates = [
            (track, rule)
            for track, rule in firing
            if not track.announced or track.hushed or self._overdue(track, rule, now)
        ]
        self.waiting = 0
        if not candidates:
            return
        groups = _groups(firing)
        room = dict.fromkeys(Severity, MOST_TOLD)
        for track, rule in firing:
            room[rule.severity] -= track.announced
        for track, rule in sorted(candidates, key=lambda pair: (-RANK[pair[1].severity], pair[1].order)):
            if not track.announced and room[rule.severity] <= 0:
                self.waiting += 1
                continue
            members = groups[group_of(rule, track.labels)]
            if self._held_back(track, rule, members, now):
                continue
            event = AlertEvent.REMINDER if track.announced else AlertEvent.FIRED
            alert = self._alert(track, rule, members, now, event)
            if alert is not None:
                room[rule.severity] -= not track.announced
                track.announced, track.hushed, track.told = True, False, alert
                self._untold.append(alert)

    def _overdue(self, track: Track, rule: Rule, now: float) -> bool:
        """Whether a told alert goes on and nobody looks after it: it is told again."""
        if not rule.repeat or track.told is None or now - track.told.changed_at < rule.repeat:
            return False
        looked_after = people.acknowledged_by(self.controls, track.id) is not None
        return not looked_after and self._watch.read(track, now) is not None

    def _held_back(self, track: Track, rule: Rule, members: Sequence[tuple[Track, Rule]], now: float) -> str:
        """Why an alert is not told now; empty if nothing holds it back."""
        if mute := people.muted_by(self.controls, rule.name, track.labels, now, self._utc_offset):
            return f"muted ({mute.id})"
        if snooze := people.snoozed_by(self.controls, rule.name, track.labels, now):
            return f"snoozed ({snooze.id})"
        if fault := self._watch.faults.inhibiting(rule, track.labels, now):
            return f"explained by the camera being {fault.value}"
        if not track.announced:
            for other, its_rule in members:
                if other.announced and RANK[its_rule.severity] >= RANK[rule.severity]:
                    return f"told with {other.id}"
        return ""

    def _alert(
        self,
        track: Track,
        rule: Rule,
        members: Sequence[tuple[Track, Rule]],
        now: float,
        event: AlertEvent,
    ) -> Alert | None:
        """`track` as it stands, in words: as it was told where its condition does not hold, None if it never was."""
        reading = self._watch.read(track, now)
        controls = self._controls_of(track, now)
        if reading is None:
            return telling.retold(track.told, event, controls, now) if track.told else None
        also = sorted(other.rule for other, _ in members if other is not track)[:MOST_ALSO]
        limit = self._limit(rule, track.labels)
        return telling.standing(
            track, rule, reading, limit, also=also, controls=controls, now=now, event=event
        )

    def _controls_of(self, track: Track, now: float) -> dict[str, Any]:
        if not self.controls.entries:
            return {}
        found = {
            "acknowledged": people.acknowledged_by(self.controls, track.id),
            "snoozed": people.snoozed_by(self.controls, track.rule, track.labels, now),
            "limit": people.limit_by(self.controls, track.rule, track.labels),
        }
        return {key: telling.shown(control) for key, control in found.items() if control is not None}

    # -- what people see and do -------------------------------------------------------------------------

    def standings(self, now: float) -> list[ActiveAlert]:
        """Every pending and firing alert as it stands, oldest first."""
        groups = _groups(self._watch.firing())
        found = []
        for track in self._watch.tracks.values():
            rule = self._watch.rule(track.rule)
            if rule is None or track.state.phase is Phase.INACTIVE:
                continue
            members = groups.get(group_of(rule, track.labels), [])
            event = track.told.event if track.told else AlertEvent.FIRED
            alert = self._alert(track, rule, members, now, event)
            if alert is not None:
                why = "" if track.announced else self._held_back(track, rule, members, now)
                if not why and not track.announced and track.state.phase is Phase.FIRING:
                    why = TOO_MANY
                found.append(ActiveAlert(alert=alert, told=track.announced, held_back=why))
        return sorted(found, key=lambda standing: standing.alert.first_seen)

    def firing(self, now: float) -> list[Alert]:
        """The alerts that were told and still fire."""
        return [standing.alert for standing in self.standings(now) if standing.told]

    def firing_count(self) -> int:
        """How many alerts were told and still fire."""
        return sum(track.announced for track in self._watch.tracks.values())

    def find(self, alert_id: str) -> Track:
        """The pending or firing alert whose id is, or alone begins with, `alert_id`; VedetteError if none."""
        live = [track for track in self._watch.tracks.values() if track.state.phase is not Phase.INACTIVE]
        found = [track for track in live if track.id == alert_id] or [
            track for track in live if alert_id and track.id.startswith(alert_id)
        ]
        if len(found) == 1:
            return found[0]
        if found:
            several = ", ".join(sorted(track.id for track in found)[:10])
            raise VedetteError(f"several alerts begin with {alert_id!r}: {several}")
        known = sorted({track.id.rpartition("-")[0] for track in live})  # as short as it may be given
        raise VedetteError(
            unknown("alert", alert_id, known, see="" if known else "`vedette alerts`: none fires")
        )

    def apply(self, control: Control) -> Control:
        """Put `control` in force; what it changes is told at the next step. Raises VedetteError."""
        if control.rule and self._watch.rule(control.rule) is None:
            names = [rule.name for rule in self.rules]
            raise VedetteError(unknown("rule", control.rule, names, see="`vedette rules list`"))
        if control.kind is ControlKind.LIMIT and not control.rule:
            raise VedetteError("say which rule gets another limit")
        if control.kind is ControlKind.ACKNOWLEDGE:
            self.find(control.alert)
        self.controls, made = people.add(self.controls, control)
        event = {
            ControlKind.ACKNOWLEDGE: AlertEvent.ACKNOWLEDGED,
            ControlKind.SNOOZE: AlertEvent.SNOOZED,
        }.get(made.kind)
        for track in self._concerned(made):
            track.hushed = track.hushed or made.kind is ControlKind.SNOOZE
            self._update(track, event, control.at)
        return made

    def undo(self, control_id: str, now: float, *, who: str, why: str = "") -> Control:
        """Take the control `control_id` back. Raises VedetteError."""
        self.controls, gone = people.undo(self.controls, control_id)
        undone = {"id": gone.id, "kind": gone.kind.value, "who": who, "at": now, "why": why}
        for track in self._concerned(gone):
            track.hushed = False
            self._update(track, AlertEvent.UNDONE, now, {"undone": undone})
        return gone

    def _concerned(self, control: Control) -> list[Track]:
        """The told alerts that an acknowledgement or a snooze is about."""
        return [
            track
            for track in self._watch.tracks.values()
            if track.announced
            and (
                (control.kind is ControlKind.ACKNOWLEDGE and track.id == control.alert)
                or (
                    control.kind is ControlKind.SNOOZE
                    and track.rule == control.rule
                    and track.labels == dict(control.labels)
                )
            )
        ]

    def _update(
        self, track: Track, event: AlertEvent | None, now: float, more: Mapping[str, Any] | None = None
    ) -> None:
        rule = self._watch.rule(track.rule)
        if event is None or rule is None:
            return
        alert = self._alert(track, rule, [], now, event)
        if alert is not None:
            alert = dataclasses.replace(alert, controls={**alert.controls, **(more or {})})
            track.told = alert
            self._untold.append(alert)

    # -- over a restart ---------------------------------------------------------------------------------

    def to_snapshot(self, now: float) -> dict[str, Any]:
        """All that must survive a restart, but for the anomaly memory, as plain JSON values."""
        return {
            "version": 1,
            "saved_at": now,
            "controls": self.controls.to_json(),
            "untold": [alert_to_json(alert) for alert in self._untold],
            **self._watch.to_snapshot(),
        }

    def restore(self, snapshot: Mapping[str, Any], now: float) -> None:
        """Go on where `to_snapshot` left off. Raises KeyError, TypeError or ValueError if it is none."""
        tracks = [track_from_json(entry) for entry in snapshot["tracks"]]
        controls = people.from_json(snapshot["controls"])
        untold = [alert_from_json(entry) for entry in snapshot.get("untold", ())]
        away = now - float(snapshot["saved_at"])
        self._watch.restore(tracks, snapshot["series"], away=away, now=now)
        self.controls = people.expire(controls, now)
        self._untold = untold

    def memory_snapshot(self) -> list[dict[str, Any]]:
        """What anomaly rules remember, as plain JSON values: large, and saved seldom."""
        return self._watch.memory_snapshot()

    def restore_memory(self, snapshot: Iterable[Mapping[str, Any]]) -> None:
        """Remember what `memory_snapshot` wrote. Raises KeyError, TypeError or ValueError if it is none."""
        self._watch.restore_memory(snapshot)


def _groups(firing: Iterable[tuple[Track, Rule]]) -> dict[GroupKey, list[tuple[Track, Rule]]]:
    groups: dict[GroupKey, list[tuple[Track, Rule]]] = {}
    for track, rule in firing:
        groups.setdefault(group_of(rule, track.labels), []).append((track, rule))
    return groups
