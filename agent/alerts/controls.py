"""The controls that people have: acknowledge, snooze, mute, changed limits; each with who, when and why. Pure.

`Controls` is a value: each function takes one and returns another. The engine asks which control applies to an
alert (`muted_by`, `snoozed_by`, `acknowledged_by`, `limit_by`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from agent.alerts.schedule import parse_schedule
from agent.core.errors import VedetteError
from agent.core.types import Labels

MOST_CONTROLS = 500


class ControlKind(str, Enum):
    """What a control does."""

    ACKNOWLEDGE = "acknowledge"  # somebody handles this alert: no reminders, until it resolves
    SNOOZE = "snooze"  # this alert is suppressed until a time
    MUTE = "mute"  # alerts of a rule, of a camera or at some hours are suppressed
    LIMIT = "limit"  # a rule has another limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One request of a person that is in force.

    `alert` is set for acknowledgements; `rule` and `labels` say what it applies to (empty: everything; of
    `labels`, those given must match, for a snooze all of them). `until` is when it ends, None: never; where
    `by_wall`, that is Unix time ("until 18:00"), else it is of the same time as `at` ("for 2 hours").
    """

    id: str = ""
    kind: ControlKind
    who: str
    at: float
    why: str = ""
    alert: str = ""
    rule: str = ""
    labels: Labels = field(default_factory=dict)
    until: float | None = None
    by_wall: bool = False
    schedule: str = ""
    value: float | None = None

    def in_force(self, now: float, unix_offset: float) -> bool:
        """Whether it has not ended at `now`, which `unix_offset` makes Unix time."""
        return self.until is None or self.until > (now + unix_offset if self.by_wall else now)

    def labelled(self, unix_offset: float) -> Control:
        """The same with all times in Unix time, as people see it."""
        until = self.until if self.until is None or self.by_wall else self.until + unix_offset
        return dataclasses.replace(self, at=self.at + unix_offset, until=until)

    def applies(self, rule: str, labels: Labels) -> bool:
        """Whether it is about alerts of `rule` on a target with `labels`."""
        return self.rule in {"", rule} and all(labels.get(key) == value for key, value in self.labels.items())

    def concerns(self, alert: str, rule: str, labels: Labels) -> bool:
        """Whether it is an acknowledgement of `alert`, or a snooze of `rule` on exactly this target."""
        if self.kind is ControlKind.ACKNOWLEDGE:
            return self.alert == alert
        return self.kind is ControlKind.SNOOZE and self.rule == rule and dict(self.labels) == dict(labels)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        entry = {**dataclasses.asdict(self), "kind": self.kind.value, "labels": dict(self.labels)}
        return {name: value for name, value in entry.items() if name != "by_wall" or value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """All that is in force; `made` counts those ever made, for their ids."""

    entries: tuple[Control, ...] = ()
    made: int = 0

    def of(self, kind: ControlKind) -> Iterator[Control]:
        """Those of one kind, newest first."""
        return (entry for entry in reversed(self.entries) if entry.kind is kind)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {"made": self.made, "entries": [entry.to_json() for entry in self.entries]}


def from_json(snapshot: Mapping[str, Any]) -> Controls:
    """The controls that `Controls.to_json` wrote."""
    entries = (Control(**{**entry, "kind": ControlKind(entry["kind"])}) for entry in snapshot["entries"])
    return Controls(entries=tuple(entries), made=int(snapshot["made"]))


def add(controls: Controls, control: Control) -> tuple[Controls, Control]:
    """`controls` with `control`, which gets an id; one of the same kind on the same subject is replaced.

    Raises VedetteError where the control makes no sense or there are too many.
    """
    _check(control)
    kept = [entry for entry in controls.entries if not _same_subject(entry, control)]
    if len(kept) >= MOST_CONTROLS:
        raise VedetteError(f"there are {MOST_CONTROLS} controls in force already; undo some first")
    numbered = dataclasses.replace(control, id=f"c{controls.made + 1}")
    return Controls(entries=(*kept, numbered), made=controls.made + 1), numbered


def _check(control: Control) -> None:
    if not control.who:
        raise VedetteError("say who asks for it")
    if control.kind is ControlKind.LIMIT and (control.value is None or not math.isfinite(control.value)):
        raise VedetteError("a limit is a finite number")
    if control.kind is ControlKind.SNOOZE and control.until is None:
        raise VedetteError("say until when to snooze; to suppress without end, mute it")
    if control.kind is ControlKind.MUTE and not (control.rule or control.labels or control.schedule):
        raise VedetteError("say what to mute: a rule, a camera, a schedule")
    if control.schedule:
        try:
            parse_schedule(control.schedule)
        except ValueError as error:
            raise VedetteError(str(error)) from None


def _same_subject(one: Control, other: Control) -> bool:
    return (one.kind, one.alert, one.rule, dict(one.labels), one.schedule) == (
        other.kind,
        other.alert,
        other.rule,
        dict(other.labels),
        other.schedule,
    )


def undo(controls: Controls, control_id: str) -> tuple[Controls, Control]:
    """`controls` without the control `control_id`, and that control; raises VedetteError where there is none."""
    found = next((entry for entry in controls.entries if entry.id == control_id), None)
    if found is None:
        known = ", ".join(entry.id for entry in controls.entries) or "none is in force"
        raise VedetteError(f"there is no control {control_id!r}; known: {known}")
    return _without(controls, found), found


def expire(controls: Controls, now: float, unix_offset: float = 0.0) -> Controls:
    """`controls` without those that have expired."""
    kept = tuple(entry for entry in controls.entries if entry.in_force(now, unix_offset))
    return controls if len(kept) == len(controls.entries) else dataclasses.replace(controls, entries=kept)


def count_off(controls: Controls, seconds: float, before: float) -> Controls:
    """`controls` after `seconds` off became known: those made `before` that moment run out sooner by them."""
    return dataclasses.replace(
        controls,
        entries=tuple(
            dataclasses.replace(entry, until=entry.until - seconds)
            if entry.until is not None and not entry.by_wall and entry.at < before
            else entry
            for entry in controls.entries
        ),
    )


def settle(controls: Controls, alert: str) -> Controls:
    """`controls` after `alert` resolved: without its acknowledgement."""
    kept = tuple(entry for entry in controls.entries if not (alert and entry.alert == alert))
    return controls if len(kept) == len(controls.entries) else dataclasses.replace(controls, entries=kept)


def _without(controls: Controls, removed: Control) -> Controls:
    return dataclasses.replace(
        controls, entries=tuple(entry for entry in controls.entries if entry is not removed)
    )


def acknowledged_by(controls: Controls, alert: str) -> Control | None:
    """The acknowledgement of `alert`."""
    return next((entry for entry in controls.of(ControlKind.ACKNOWLEDGE) if entry.alert == alert), None)


def snoozed_by(
    controls: Controls, rule: str, labels: Labels, now: float, unix_offset: float = 0.0
) -> Control | None:
    """The snooze that suppresses `rule` on the target with `labels`."""
    return next(
        (
            entry
            for entry in controls.of(ControlKind.SNOOZE)
            if entry.concerns("", rule, labels) and entry.in_force(now, unix_offset)
        ),
        None,
    )


def muted_by(
    controls: Controls,
    rule: str,
    labels: Labels,
    now: float,
    *,
    unix_offset: float = 0.0,
    utc_offset: float = 0.0,
) -> Control | None:
    """The mute that suppresses `rule` on a target with `labels`; schedules are in local time."""
    local_offset = unix_offset + utc_offset
    return next(
        (
            entry
            for entry in controls.of(ControlKind.MUTE)
            if entry.applies(rule, labels)
            and entry.in_force(now, unix_offset)
            and (not entry.schedule or parse_schedule(entry.schedule).on(now, local_offset))
        ),
        None,
    )


def limit_by(controls: Controls, rule: str, labels: Labels) -> Control | None:
    """The changed limit of `rule` for a target: that for its camera, else that for all."""
    found = [
        entry
        for entry in controls.of(ControlKind.LIMIT)
        if entry.rule == rule and entry.applies(rule, labels)
    ]
    return max(found, key=lambda entry: len(entry.labels), default=None)
