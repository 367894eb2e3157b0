"""Alerts and notices for the notifiers to send; the servers that take them are in tests/conftest.py."""

from __future__ import annotations

import pytest

from agent.core.types import Alert, AlertEvent, AlertState, Severity

NOW = 1_700_000_000.0


@pytest.fixture
def make_alert():
    def make(rule="camera_down", *, state="firing", severity="critical", at=NOW, **more):
        labels = more.pop("labels", {"camera": "front"})
        event = AlertEvent.RESOLVED if state == "resolved" else AlertEvent.FIRED
        return Alert(**{
            "id": f"{rule}-{'-'.join(labels.values())}-0001",
            "rule": rule,
            "state": AlertState(state),
            "severity": Severity(severity),
            "labels": labels,
            "what": "camera front is down: connection refused",
            "expected": "online",
            "window": "over 22:13:20-22:13:35 UTC, for 15 s",
            "advice": "Check power & cable <now>.",
            "first_seen": at - 15,
            "changed_at": at,
            "event": event,
            **more,
        })  # fmt: skip

    return make


@pytest.fixture
def make_notice(make_alert):
    from agent.notifiers.routes import make_notice as make

    return lambda *alerts, **more: make(
        alerts or (make_alert(),), **{"device": "edge-1", "site": "plant", "now": NOW, **more}
    )
