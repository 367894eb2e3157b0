"""An alert as plain JSON values, as it is stored, listed and sent to programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from agent.core.types import Alert, AlertEvent, AlertState, Severity


def alert_to_json(alert: Alert) -> dict[str, Any]:
    """An alert as plain JSON values (evidence must be such already)."""
    entry = {item.name: getattr(alert, item.name) for item in dataclasses.fields(alert)}
    for key in ("labels", "evidence", "controls"):
        entry[key] = dict(entry[key])
    return {**entry, "state": alert.state.value, "severity": alert.severity.value, "event": alert.event.value}


def alert_from_json(entry: Mapping[str, Any]) -> Alert:
    """The alert that `alert_to_json` made the values of."""
    return Alert(
        **{
            **entry,
            "state": AlertState(entry["state"]),
            "severity": Severity(entry["severity"]),
            "event": AlertEvent(entry["event"]),
        }
    )
