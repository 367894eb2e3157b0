"""The alert engine: observations in, alerts to publish out. Every rule and every drift verdict passes it.

Laws
----
1. A rule has an instance with a state machine (`state_machine`) for every target that its metric was observed for.
2. A firing alert is published once, unless it is suppressed: by a mute, a snooze, a fault upstream that explains
   it (inhibition), a worse or earlier alert of its group. It is published when nothing suppresses it any longer,
   and again every `repeat` seconds of its rule while it fires and nobody acknowledged it. Where its observation's
   headline changes meanwhile (a drift of which more is known) it is published as updated, ever more seldom.
3. What was published as firing is published as resolved, suppressed or not: a retained alert must not stay.
4. After a restart nothing is published again; an alert that is not observed again within `stale_seconds` resolves,
   one about a fault of a camera within SETTLE_SECONDS. A drift that fires stays as it was while its camera shows
   nothing or cannot be judged.
5. `now` is steady time (`agent/core/clock.py`): a wall clock that is set changes the times that alerts are labelled
   with, and nothing else. A box that slept observed nothing meanwhile: sleep makes nothing stale, absent or true.
6. Memory is bounded: MOST_INSTANCES, beyond that `refused` counts what was left out. So is what is published:
   MOST_PUBLISHED alerts of each severity at a time; `waiting` counts those that wait for their turn.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.alerts import alert_builder
from agent.alerts import controls as people
from agent.alerts.alert_json import alert_from_json, alert_to_json
from agent.alerts.controls import Control, ControlKind, Controls
from agent.alerts.evaluators import RuleValue
from agent.alerts.grouping import RANK, group_of
from agent.alerts.instance import AlertInstance, find_alert, instance_from_json
from agent.alerts.rule_monitor import RuleMonitor
from agent.alerts.rules import Rule
from agent.alerts.state_machine import Phase
from agent.alerts.suppression import Members, grouped, suppressed_by
from agent.core.errors import VedetteError
from agent.core.nearest import nearest, unknown
from agent.core.types import Alert, AlertEvent, Labels, Observation, Severity

MOST_ALSO = 20
MOST_PUBLISHED = 500
TOO_MANY = f"{MOST_PUBLISHED} alerts of its severity are published already"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveAlert:
    """A pending or firing alert; `suppressed_by` is why it was not published, if it was not."""

    alert: Alert
    published: bool
    suppressed_by: str = ""


class AlertEngine:
    """Evaluates rules on observations and returns the alerts to publish. Belongs to one thread; reads no clock.

    `window_seconds` is how often summaries come: a value counts as fresh for three windows, five minutes at
    least.
    """

    def __init__(self, rules: Sequence[Rule], *, window_seconds: float = 60.0) -> None:
        self.controls = Controls()
        self._monitor = RuleMonitor(
            stale_seconds=max(300.0, 3 * window_seconds),
            linger_seconds=1.5 * window_seconds,
            limit_of=self._limit,
            on_end=self._end,
        )
        self.waiting = 0
        self._outgoing: list[Alert] = []
        self._utc_offset = 0.0
        self._monitor.set_rules(rules)

    def set_rules(self, rules: Sequence[Rule]) -> None:
        """Replace the rules; alerts of rules that were removed resolve at the next step."""
        self._monitor.set_rules(rules)

    @property
    def _unix_offset(self) -> float:
        return self._monitor.unix_offset

    def set_offset(self, unix_offset: float) -> None:
        """Label times by `unix_offset` seconds, which make a time given as `now` Unix time, from now on."""
        self._monitor.unix_offset = unix_offset

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules in force."""
        return self._monitor.rules

    def unobserved(self) -> list[tuple[Rule, str]]:
        """The rules of the config that nothing was observed for yet, each with the name that was perhaps meant."""
        known = sorted(self._monitor.metrics)
        return [
            (rule, nearest(rule.condition.metric, known, cutoff=0.8) or "")
            for rule in self._monitor.unobserved()
            if not rule.default
        ]

    @property
    def refused(self) -> int:
        """How often something was left out because memory is bounded."""
        return self._monitor.refused

    def remove_targets(self, labels: Labels, now: float) -> None:
        """Discard targets with these labels (a camera that was removed); the next step resolves their alerts."""
        self._monitor.remove_targets(labels, now)

    def step(
        self,
        observations: Iterable[Observation],
        now: float,
        *,
        asleep: float = 0.0,
        unix_offset: float = 0.0,
        utc_offset: float = 0.0,
    ) -> list[Alert]:
        """The alerts to publish at `now`, after `observations` that came since the last step.

        `asleep` is how many of the seconds since then the box slept. `unix_offset` (seconds) makes `now` Unix time,
        for labels, and `utc_offset` that the local time of schedules.
        """
        self._utc_offset = utc_offset
        self.set_offset(unix_offset)
        if asleep > 0:
            self._monitor.sleep(asleep)
        for observation in sorted(observations, key=lambda item: item.at):
            self._monitor.observe(observation, min(observation.at, now))
        self._monitor.tick(now)
        self._publish_due(now)
        alerts, self._outgoing = self._outgoing, []
        return alerts

    def _end(
        self, instance: AlertInstance, rule: Rule | None, evaluation: RuleValue | None, at: float
    ) -> None:
        if instance.published:
            limit = self._limit(rule, instance.labels) if rule is not None else 0.0
            controls = self._controls_of(instance, at)
            self._outgoing.append(
                alert_builder.resolved_alert(
                    instance, rule, evaluation, limit, controls=controls, at=at, unix_offset=self._unix_offset
                )
            )
        self.controls = people.settle(self.controls, instance.id)
        instance.published, instance.latest = False, None

    def _limit(self, rule: Rule, labels: Labels) -> float:
        changed = people.limit_by(self.controls, rule.name, labels) if self.controls.entries else None
        if changed is not None and changed.value is not None:
            return changed.value
        return rule.condition.limit

    # -- publishing ----------------------------------------------------------------------------------------

    def _publish_due(self, now: float) -> None:
        self.controls = people.expire(self.controls, now, self._unix_offset)
        firing = self._monitor.firing()
        candidates = [
            (instance, rule)
            for instance, rule in firing
            if not instance.published
            or instance.republish
            or self._repeat_due(instance, rule, now)
            or instance.update_due(self._monitor.headline(instance), now)
        ]
        self.waiting = 0
        if not candidates:
            return
        groups = grouped(firing)
        room = dict.fromkeys(Severity, MOST_PUBLISHED)
        for instance, rule in firing:
            room[rule.severity] -= instance.published
        for instance, rule in sorted(candidates, key=lambda pair: (-RANK[pair[1].severity], pair[1].order)):
            if not instance.published and room[rule.severity] <= 0:
                self.waiting += 1
                continue
            members = groups[group_of(rule, instance.labels)]
            if self._suppressed_by(instance, rule, members, now):
                continue
            event = self._event(instance, rule, now)
            alert = self._alert(instance, rule, members, now, event)
            if alert is not None:
                room[rule.severity] -= not instance.published
                instance.published, instance.republish = True, False
                instance.publish(alert, self._monitor.headline(instance), now)
                self._outgoing.append(alert)

    def _event(self, instance: AlertInstance, rule: Rule, now: float) -> AlertEvent:
        """Why an alert that is not suppressed is published now."""
        if not instance.published:
            return AlertEvent.FIRED
        reminds = instance.republish or self._repeat_due(instance, rule, now)
        return AlertEvent.REMINDER if reminds else AlertEvent.UPDATED

    def _repeat_due(self, instance: AlertInstance, rule: Rule, now: float) -> bool:
        """Whether a published alert still fires and nobody acknowledged it: it is published again."""
        if not rule.repeat or instance.latest is None or now - instance.published_at < rule.repeat:
            return False
        acknowledged = people.acknowledged_by(self.controls, instance.id) is not None
        return not acknowledged and self._monitor.evaluate(instance, now) is not None

    def _suppressed_by(self, instance: AlertInstance, rule: Rule, members: Members, now: float) -> str:
        return suppressed_by(
            instance,
            rule,
            members,
            controls=self.controls,
            faults=self._monitor.faults,
            now=now,
            unix_offset=self._unix_offset,
            utc_offset=self._utc_offset,
        )

    def _alert(
        self,
        instance: AlertInstance,
        rule: Rule,
        members: Members,
        now: float,
        event: AlertEvent,
    ) -> Alert | None:
        """The alert of `instance`: as published last where its condition does not hold, None if it never was."""
        evaluation = self._monitor.evaluate(instance, now)
        controls = self._controls_of(instance, now)
        offset = self._unix_offset
        if evaluation is None:
            return alert_builder.repeated_alert(
                instance, event, controls=controls, now=now, unix_offset=offset
            )
        also = sorted(other.rule for other, _ in members if other is not instance)[:MOST_ALSO]
        limit = self._limit(rule, instance.labels)
        return alert_builder.active_alert(
            instance,
            rule,
            evaluation,
            limit,
            also=also,
            controls=controls,
            now=now,
            event=event,
            unix_offset=offset,
        )

    def _controls_of(self, instance: AlertInstance, now: float) -> dict[str, Any]:
        if not self.controls.entries:
            return {}
        found = {
            "acknowledged": people.acknowledged_by(self.controls, instance.id),
            "snoozed": people.snoozed_by(
                self.controls, instance.rule, instance.labels, now, self._unix_offset
            ),
            "limit": people.limit_by(self.controls, instance.rule, instance.labels),
        }
        return {
            key: alert_builder.control_to_json(control, self._unix_offset)
            for key, control in found.items()
            if control is not None
        }

    # -- what people ask for -------------------------------------------------------------------------

    def active_alerts(self, now: float) -> list[ActiveAlert]:
        """Every pending and firing alert, oldest first."""
        groups = grouped(self._monitor.firing())
        found = []
        for instance in self._monitor.instances.values():
            rule = self._monitor.rule(instance.rule)
            if rule is None or instance.state.phase is Phase.INACTIVE:
                continue
            members = groups.get(group_of(rule, instance.labels), [])
            event = instance.latest.event if instance.latest else AlertEvent.FIRED
            alert = self._alert(instance, rule, members, now, event)
            if alert is not None:
                why = "" if instance.published else self._suppressed_by(instance, rule, members, now)
                if not why and not instance.published and instance.state.phase is Phase.FIRING:
                    why = TOO_MANY
                found.append(ActiveAlert(alert=alert, published=instance.published, suppressed_by=why))
        return sorted(found, key=lambda active: active.alert.first_seen)

    def firing(self, now: float) -> list[Alert]:
        """The alerts that were published and still fire."""
        return [active.alert for active in self.active_alerts(now) if active.published]

    def firing_count(self) -> int:
        """How many alerts were published and still fire."""
        return sum(instance.published for instance in self._monitor.instances.values())

    def find(self, alert_id: str) -> AlertInstance:
        """The pending or firing alert whose id is, or alone begins with, `alert_id`; VedetteError if none."""
        return find_alert(self._monitor.instances.values(), alert_id)

    def apply(self, control: Control) -> Control:
        """Put `control` in force; what it changes is published at the next step. Raises VedetteError."""
        if control.rule and self._monitor.rule(control.rule) is None:
            names = [rule.name for rule in self.rules]
            raise VedetteError(unknown("rule", control.rule, names, see="`vedette rules list`"))
        if control.kind is ControlKind.LIMIT and not control.rule:
            raise VedetteError("say which rule gets another limit")
        if control.kind is ControlKind.ACKNOWLEDGE:
            self.find(control.alert)
        if not control.in_force(control.at, self._unix_offset):
            raise VedetteError("the end is in the past")
        self.controls, made = people.add(self.controls, control)
        event = {
            ControlKind.ACKNOWLEDGE: AlertEvent.ACKNOWLEDGED,
            ControlKind.SNOOZE: AlertEvent.SNOOZED,
        }.get(made.kind)
        for instance in self._concerned(made):
            instance.republish = instance.republish or made.kind is ControlKind.SNOOZE
            self._update(instance, event, control.at)
        return made

    def undo(self, control_id: str, now: float, *, who: str, why: str = "") -> Control:
        """Withdraw the control `control_id`. Raises VedetteError."""
        self.controls, undone = people.undo(self.controls, control_id)
        at = now + self._unix_offset
        entry = {"id": undone.id, "kind": undone.kind.value, "who": who, "at": at, "why": why}
        for instance in self._concerned(undone):
            instance.republish = False
            self._update(instance, AlertEvent.UNDONE, now, {"undone": entry})
        return undone

    def _concerned(self, control: Control) -> list[AlertInstance]:
        """The published alerts that an acknowledgement or a snooze is about."""
        return [
            instance
            for instance in self._monitor.instances.values()
            if instance.published and control.concerns(instance.id, instance.rule, instance.labels)
        ]

    def _update(
        self,
        instance: AlertInstance,
        event: AlertEvent | None,
        now: float,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        rule = self._monitor.rule(instance.rule)
        if event is None or rule is None:
            return
        alert = self._alert(instance, rule, [], now, event)
        if alert is not None:
            alert = dataclasses.replace(alert, controls={**alert.controls, **(more or {})})
            instance.publish(alert, self._monitor.headline(instance), now)
            self._outgoing.append(alert)

    # -- over a restart ---------------------------------------------------------------------------------

    @property
    def is_quiet(self) -> bool:
        """Whether no alert is pending, fires or waits to be published."""
        return not self._monitor.instances and not self._outgoing

    def to_snapshot(self, now: float) -> dict[str, Any]:
        """All that must survive a restart, except samples and the history of anomaly rules, as plain JSON values."""
        return {
            "version": 1,
            "saved_at": now,
            "controls": self.controls.to_json(),
            "untold": [alert_to_json(alert) for alert in self._outgoing],
            **self._monitor.to_snapshot(),
        }

    def restore(self, snapshot: Mapping[str, Any], now: float) -> None:
        """Continue from what `to_snapshot` returned. Raises KeyError, TypeError or ValueError if it is none."""
        instances = [instance_from_json(entry) for entry in snapshot["tracks"]]
        controls = people.from_json(snapshot["controls"])
        outgoing = [alert_from_json(entry) for entry in snapshot.get("untold", ())]
        away = now - float(snapshot["saved_at"])
        self._monitor.restore(instances, snapshot["series"], away=away, now=now)
        self.controls = people.expire(controls, now, self._unix_offset)
        self._outgoing = outgoing

    def count_off(self, seconds: float, before: float) -> None:
        """It became known that the box was off for `seconds` that the times given did not count, until `before`."""
        self.controls = people.count_off(self.controls, seconds, before)

    def samples_snapshot(self) -> dict[str, Any]:
        """The samples of rates and burns, as plain JSON values: large, and so saved seldom."""
        return self._monitor.samples_snapshot()

    def restore_samples(self, snapshot: Mapping[str, Any], now: float) -> None:
        """Take over what `samples_snapshot` returned. Raises KeyError, TypeError or ValueError if it is none."""
        self._monitor.restore_series(snapshot, now)

    def memory_snapshot(self) -> list[dict[str, Any]]:
        """The history that anomaly rules need, as plain JSON values: large, and so saved seldom."""
        return self._monitor.memory_snapshot()

    def restore_memory(self, snapshot: Iterable[Mapping[str, Any]]) -> None:
        """Take over what `memory_snapshot` returned. Raises KeyError, TypeError or ValueError if it is none."""
        self._monitor.restore_memory(snapshot)
