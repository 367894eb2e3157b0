"""Suppression: why a firing alert is not published (law 2 of the engine). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agent.alerts.controls import Controls, muted_by, snoozed_by
from agent.alerts.grouping import RANK, CameraFaults, GroupKey, group_of
from agent.alerts.instance import AlertInstance
from agent.alerts.rules import Rule

Members = Sequence[tuple[AlertInstance, Rule]]
"""The firing alerts of one group, each with its rule."""


def grouped(firing: Iterable[tuple[AlertInstance, Rule]]) -> dict[GroupKey, list[tuple[AlertInstance, Rule]]]:
    """The firing alerts by group."""
    groups: dict[GroupKey, list[tuple[AlertInstance, Rule]]] = {}
    for instance, rule in firing:
        groups.setdefault(group_of(rule, instance.labels), []).append((instance, rule))
    return groups


def suppressed_by(
    instance: AlertInstance,
    rule: Rule,
    members: Members,
    *,
    controls: Controls,
    faults: CameraFaults,
    now: float,
    unix_offset: float,
    utc_offset: float,
) -> str:
    """Why the alert of `instance` is not published at `now`, in words; empty if nothing suppresses it.

    `members` are the firing alerts of its group. `unix_offset` (seconds) makes `now` Unix time and `utc_offset`
    that the local time of schedules.
    """
    if mute := muted_by(
        controls, rule.name, instance.labels, now, unix_offset=unix_offset, utc_offset=utc_offset
    ):
        return f"muted ({mute.id})"
    if snooze := snoozed_by(controls, rule.name, instance.labels, now, unix_offset):
        return f"snoozed ({snooze.id})"
    if fault := faults.inhibiting(rule, instance.labels, now):
        return f"explained by the camera being {fault.value}"
    if not instance.published:
        for other, its_rule in members:
            if other.published and RANK[its_rule.severity] >= RANK[rule.severity]:
                return f"grouped with {other.id}"
    return ""
