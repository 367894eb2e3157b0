"""A trial notice, with which people check that they would be notified. Pure."""

from __future__ import annotations

from agent.core.types import Alert, AlertEvent, AlertState, Severity
from agent.notifiers import Notice
from agent.notifiers.routes import make_notice


def trial_notice(*, device: str, site: str, now: float, snapshot: bytes | None = None) -> Notice:
    """A notice with one alert of severity info, which expires by itself in an Alertmanager."""
    alert = Alert(
        id=f"trial-{int(now)}",
        rule="trial",
        state=AlertState.FIRING,
        severity=Severity.INFO,
        labels={},
        what="this is a trial, nothing happened",
        expected="that you read this",
        window="now",
        advice="Nothing to do.",
        first_seen=now,
        changed_at=now,
        event=AlertEvent.FIRED,
    )
    return make_notice((alert,), device=device, site=site, now=now, snapshot=snapshot)
