"""Routes: which alerts a notifier sends, when, and with which text. Pure: time is passed in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.alerts.alert_json import alert_from_json, alert_to_json
from agent.alerts.alert_text import evidence_lines, page_command
from agent.alerts.grouping import RANK
from agent.alerts.schedule import parse_schedule
from agent.config.alert_settings import NotifierSettings
from agent.core.errors import ConfigError
from agent.core.types import Alert, AlertEvent, AlertState, Severity
from agent.notifiers import Notice

MOST_ALERTS = 200  # in one notice; the others are counted
MOST_DESCRIBED = 20
MOST_NOTIFIED = 5_000

_NOTIFIED_EVENTS = {AlertEvent.FIRED, AlertEvent.REMINDER, AlertEvent.RESOLVED}


@dataclass(slots=True, kw_only=True)
class Route:
    """The alerts that one notifier sends, and the batch that is being gathered for it.

    `notified` holds the ids that it sent as firing, in order: only of those it sends the end.
    """

    settings: NotifierSettings
    batch: dict[str, Alert] = field(default_factory=dict)
    more: int = 0
    opened_at: float | None = None
    notified: dict[str, None] = field(default_factory=dict)

    def gather(self, alert: Alert, now: float) -> bool:
        """Add `alert` to the batch, if it passes the filters (whether it does); the latest of each id counts."""
        if not self._matches(alert):
            return False
        if alert.id not in self.batch and len(self.batch) >= MOST_ALERTS:
            self.more += 1
        else:
            self.batch[alert.id] = alert
        self.opened_at = now if self.opened_at is None else min(self.opened_at, now)
        return True

    def _matches(self, alert: Alert) -> bool:
        settings = self.settings
        if alert.event is AlertEvent.RESOLVED:  # whatever a reload has made of the filters since
            return settings.resolved and (alert.id in self.notified or alert.id in self.batch)
        if alert.event not in _NOTIFIED_EVENTS or RANK[alert.severity] < RANK[Severity(settings.severity)]:
            return False
        if settings.rules and alert.rule not in settings.rules:
            return False
        return not settings.cameras or alert.labels.get("camera") in settings.cameras

    def due(self, now: float, utc_offset: float = 0.0) -> bool:
        """Whether to send the batch now: gathered long enough, and not in quiet hours unless critical."""
        if self.opened_at is None or now - self.opened_at < self.settings.group_interval:
            return False
        urgent = any(
            alert.severity is Severity.CRITICAL and alert.state is not AlertState.RESOLVED
            for alert in self.batch.values()
        )
        quiet = self.settings.quiet_hours
        return urgent or not quiet or not parse_schedule(quiet).on(now, utc_offset)

    def take(self) -> tuple[tuple[Alert, ...], int]:
        """Take the batch, worst and oldest first, and how many alerts it leaves out; begin a new one."""
        alerts = sorted(
            self.batch.values(),
            key=lambda alert: (
                alert.state is AlertState.RESOLVED,
                -RANK[alert.severity],
                alert.first_seen,
            ),
        )
        for alert in alerts:
            self.notified.pop(alert.id, None)
            if alert.state is not AlertState.RESOLVED:
                self.notified[alert.id] = None
        while len(self.notified) > MOST_NOTIFIED:
            del self.notified[next(iter(self.notified))]
        more, self.more, self.batch, self.opened_at = self.more, 0, {}, None
        return tuple(alerts), more

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "batch": [alert_to_json(alert) for alert in self.batch.values()],
            "more": self.more,
            "opened_at": self.opened_at,
            "told": list(self.notified),
        }

    def restore(self, entry: Mapping[str, Any]) -> None:
        """Continue from what `to_json` returned."""
        alerts = [alert_from_json(item) for item in entry["batch"]]
        self.batch = {alert.id: alert for alert in alerts}
        self.more, self.opened_at = int(entry["more"]), entry["opened_at"]
        self.notified = dict.fromkeys(str(name) for name in entry["told"])


def check(settings: NotifierSettings) -> None:
    """Check the settings that every kind has; raises ConfigError."""
    if settings.quiet_hours:
        try:
            parse_schedule(settings.quiet_hours)
        except ValueError as error:
            key = f"notifiers[{settings.name}].quiet_hours"
            raise ConfigError(str(error), key=key) from None


def make_notice(
    alerts: tuple[Alert, ...],
    *,
    device: str,
    site: str,
    now: float,
    more: int = 0,
    snapshot: bytes | None = None,
) -> Notice:
    """The notice about `alerts` (not empty, worst first)."""
    firing = [alert for alert in alerts if alert.state is not AlertState.RESOLVED]
    worst = max((alert.severity for alert in firing or alerts), key=RANK.__getitem__)
    return Notice(
        id=f"{alerts[0].id}-{int(now * 1000)}",
        device=device,
        site=site,
        title=_title(alerts, firing, device, more),
        text=_text(alerts, more),
        severity=worst,
        resolved=not firing,
        alerts=alerts,
        made_at=now,
        more=more,
        snapshot=snapshot,
    )


def _title(alerts: tuple[Alert, ...], firing: list[Alert], device: str, more: int) -> str:
    if len(alerts) == 1 and not more:
        word = alerts[0].severity.value.upper() if firing else "resolved"
        return f"{word}: {device}: {alerts[0].what}"
    resolved = len(alerts) - len(firing)
    parts = [f"{len(firing) + more} firing"] * bool(firing) + [f"{resolved} resolved"] * bool(resolved)
    worst = f", the worst: {firing[0].what}" if firing else ""
    return f"{device}: {', '.join(parts)}{worst}"


def _text(alerts: Iterable[Alert], more: int) -> str:
    listed = list(alerts)
    blocks = [_block(alert) for alert in listed[:MOST_DESCRIBED]]
    left = len(listed) - len(blocks) + more
    return "\n\n".join([*blocks, f"and {left:,} more alerts"] if left else blocks)


def _block(alert: Alert) -> str:
    word = "resolved" if alert.state is AlertState.RESOLVED else alert.severity.value
    lines = [f"[{word}] {alert.what}", f"expected: {alert.expected}", f"when: {alert.window}"]
    if alert.state is not AlertState.RESOLVED:
        lines += [f"evidence: {fact}" for fact in evidence_lines(alert.evidence)]
    if alert.advice:
        lines.append(f"to do: {alert.advice}")
    if alert.runbook and alert.state is not AlertState.RESOLVED:
        lines.append(f"more: {alert.runbook}, on the box: {page_command(alert.rule)}")
    return "\n".join([*lines, f"id: {alert.id}"])
