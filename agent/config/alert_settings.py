"""Settings of alerts: all of them, one rule, and what every notifier has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agent.config.fields import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSettings:
    """Settings of all alerts."""

    default_rules: bool = setting(True, doc="false leaves only the rules below; see `vedette rules list`.")
    repeat_critical: float = setting(
        4 * 3600.0,
        kind="duration",
        minimum=0,
        doc="A critical alert that goes on and that nobody acknowledged is notified again this often; 0s: never.",
    )
    repeat_warning: float = setting(86400.0, kind="duration", minimum=0, doc="The same for a warning.")
    repeat_info: float = setting(0.0, kind="duration", minimum=0, doc="The same for an info.")
    runbooks: str = setting(
        "docs/runbooks",
        doc="Where the built-in rules' pages are: what the links in alerts begin with, such as the address of "
        "a wiki. On the box itself `vedette rules show NAME` prints a page.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSettings:
    """One alert rule."""

    name: str = setting(doc="Name of the rule; that of a default rule replaces it.", example='"too-slow"')
    when: str = setting(
        "",
        doc="Condition: METRIC > NUMBER (or <, >=, <=), absent(METRIC), rate(METRIC), anomaly(METRIC) > Z, "
        "burn(METRIC > TARGET, 99%) > N; `for 5m` may follow. Empty: that of the default rule of this name. "
        "`vedette rules list --metrics` lists metrics.",
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
        0.0, kind="duration", minimum=0, doc="Goes on firing this long after the condition ended."
    )
    repeat: float = setting(
        0.0,
        kind="duration",
        minimum=0,
        doc="Published again after so long while it fires; 0: as [alerts] has it for its severity.",
    )
    clear: str = setting("", doc="Value at which it resolves, if not the threshold itself (hysteresis).")
    severity: str = setting(
        "", choices=("", "info", "warning", "critical"), doc="How bad it is; empty: warning."
    )
    group: str = setting(
        "", doc="Of one group and camera, only the worst alert is notified; empty: chosen by the metric."
    )
    tell: str = setting(
        "all",
        choices=("all", "local", "journal"),
        doc="Where it goes: all; local: journal and notifiers, not the broker; journal: the journal alone.",
    )
    advice: str = setting("", doc="What to do about it; part of the alert.")
    runbook: str = setting("", doc="Link to a page to read; part of the alert.")
    enabled: bool = setting(True, doc="false switches the rule off.")


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifierSettings:
    """What every notifier has; `kind` decides which further keys it takes."""

    name: str = setting(doc="Name of this notifier, in the journal.", example='"night-shift"')
    kind: str = setting("webhook", doc="Kind of notifier.")
    enabled: bool = setting(True, doc="false keeps the entry but sends nothing.")
    severity: str = setting(
        "warning", choices=("info", "warning", "critical"), doc="Least severity that is sent."
    )
    rules: tuple[str, ...] = setting((), doc="Only alerts of these rules; empty: of all.")
    cameras: tuple[str, ...] = setting((), doc="Only alerts of these cameras; empty: all alerts.")
    group_interval: float = setting(
        15.0,
        kind="duration",
        minimum=0,
        maximum=3600,
        doc="Alerts of this long are gathered into one notice.",
    )
    quiet_hours: str = setting(
        "",
        doc='Local hours in which only critical alerts are sent, the others after: "22:00-06:00, sat-sun".',
    )
    resolved: bool = setting(True, doc="Also notify when an alert is over.")
    picture: bool = setting(False, doc="Attach the last frame, where the kind can: it leaves the box.")
    options: Any = None
