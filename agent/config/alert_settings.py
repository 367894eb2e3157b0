"""Settings of alerts: all of them, one rule, and what every notifier has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agent.config.fields import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSettings:
    """Settings of all alerts."""

    default_rules: bool = setting(True, doc="false: only the rules below; `vedette rules list` lists all.")
    repeat_critical: float = setting(
        4 * 3600.0,
        kind="duration",
        minimum=0,
        doc="How often a firing critical alert that nobody acknowledged is notified again; 0s: never.",
    )
    repeat_warning: float = setting(86400.0, kind="duration", minimum=0, doc="The same for a warning.")
    repeat_info: float = setting(0.0, kind="duration", minimum=0, doc="The same for an info.")
    runbooks: str = setting(
        "docs/runbooks",
        doc="Address of the runbook pages: the beginning of the links in alerts, such as the address of "
        "a wiki. On the box `vedette rules show NAME` prints a page.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSettings:
    """One alert rule."""

    name: str = setting(
        doc="Name of the rule; the name of a default rule replaces that rule.", example='"too-slow"'
    )
    when: str = setting(
        "",
        doc="Condition: METRIC > NUMBER (or <, >=, <=), absent(METRIC), rate(METRIC), anomaly(METRIC) > "
        "Z, burn(METRIC > TARGET, 99%) > N; `for 5m` may follow. Empty: the condition of the default "
        "rule with this name. `vedette rules list --metrics` lists metrics.",
        example='"camera.latency_p99_seconds > 0.5"',
    )
    hold: float = setting(
        0.0,
        key="for",
        kind="duration",
        minimum=0,
        doc="The condition must hold this long before the alert fires.",
    )
    keep_firing: float = setting(
        0.0, kind="duration", minimum=0, doc="The alert keeps firing this long after the condition ended."
    )
    repeat: float = setting(
        0.0,
        kind="duration",
        minimum=0,
        doc="How often a firing alert is published again; 0: given in [alerts] by severity.",
    )
    clear: str = setting(
        "", doc="Value at which the alert resolves, if it is not the threshold itself (hysteresis)."
    )
    severity: str = setting("", choices=("", "info", "warning", "critical"), doc="Severity; empty: warning.")
    group: str = setting(
        "", doc="Only the worst alert of a group and camera is published; empty: the metric's group."
    )
    tell: str = setting(
        "all",
        choices=("all", "local", "journal"),
        doc="Where the alert goes: all; local: journal and notifiers, not the broker; journal: only the "
        "journal.",
    )
    advice: str = setting("", doc="What to do; part of the alert.")
    runbook: str = setting("", doc="Link to a page to read; part of the alert.")
    enabled: bool = setting(True, doc="false switches the rule off.")


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifierSettings:
    """What every notifier has; `kind` decides which further keys it takes."""

    name: str = setting(doc="Name of this notifier, in the journal.", example='"night-shift"')
    kind: str = setting("webhook", doc="Kind of notifier.")
    enabled: bool = setting(True, doc="false keeps the entry but sends nothing.")
    severity: str = setting(
        "warning", choices=("info", "warning", "critical"), doc="Lowest severity that is sent."
    )
    rules: tuple[str, ...] = setting((), doc="Only alerts of these rules; empty: all rules.")
    cameras: tuple[str, ...] = setting((), doc="Only alerts of these cameras; empty: all alerts.")
    group_interval: float = setting(
        15.0,
        kind="duration",
        minimum=0,
        maximum=3600,
        doc="Alerts within this time go into one notice.",
    )
    quiet_hours: str = setting(
        "",
        doc='Local hours in which only critical alerts are sent, the others afterwards: "22:00-06:00, '
        'sat-sun".',
    )
    resolved: bool = setting(True, doc="Also notify when an alert resolves.")
    picture: bool = setting(
        False, doc="Attach the last frame, if the kind of notifier can; the image leaves the box."
    )
    options: Any = None
