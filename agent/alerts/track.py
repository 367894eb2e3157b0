"""A track: everything remembered of one rule on one target, and how it is written down."""

from __future__ import annotations

import dataclasses
import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.alerts.evaluators import Target, target_of
from agent.alerts.state_machine import Phase, RuleState
from agent.core.types import Alert, AlertEvent, AlertState, Labels, Severity

TrackKey = tuple[str, Target]  # rule, target


@dataclass(slots=True, kw_only=True)
class Track:
    """One rule on one target. Belongs to the engine.

    `id` names the current occurrence; `announced` says whether it was told as firing (and so must be told as
    resolved), `told` is what was told last, `hushed` whether it must be told anew once nothing holds it back.
    After a restart it is not found over before `settled_at`.
    """

    rule: str
    labels: Labels
    state: RuleState = field(default_factory=RuleState)
    id: str = ""
    announced: bool = False
    hushed: bool = False
    told: Alert | None = None
    reason: str = ""
    settled_at: float = -math.inf

    @property
    def key(self) -> TrackKey:
        """What the track is found by."""
        return self.rule, target_of(self.labels)

    def begin(self) -> None:
        """A new occurrence: the condition just turned true."""
        self.id = alert_id(self.rule, self.labels, self.state.true_since)
        self.announced = self.hushed = False
        self.told, self.reason = None, ""

    def shift(self, seconds: float) -> None:
        """The clock was set forward."""
        self.state = self.state.shifted(seconds)
        self.settled_at += seconds
        if self.told is not None:
            self.told = dataclasses.replace(
                self.told,
                first_seen=self.told.first_seen + seconds,
                changed_at=self.told.changed_at + seconds,
            )

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        state = self.state
        return {
            "rule": self.rule,
            "labels": dict(self.labels),
            "phase": state.phase.value,
            "true_since": state.true_since,
            "last_true": state.last_true,
            "at": state.at,
            "fires": list(state.fires),
            "id": self.id,
            "announced": self.announced,
            "hushed": self.hushed,
            "told": alert_to_json(self.told) if self.told else None,
        }


def track_from_json(entry: Mapping[str, Any]) -> Track:
    """The track that `Track.to_json` wrote."""
    return Track(
        rule=str(entry["rule"]),
        labels=dict(entry["labels"]),
        state=RuleState(
            phase=Phase(entry["phase"]),
            true_since=float(entry["true_since"]),
            last_true=float(entry["last_true"]),
            at=float(entry["at"]),
            fires=tuple(float(at) for at in entry["fires"]),
        ),
        id=str(entry["id"]),
        announced=bool(entry["announced"]),
        hushed=bool(entry["hushed"]),
        told=alert_from_json(entry["told"]) if entry["told"] else None,
    )


def alert_id(rule: str, labels: Labels, since: float) -> str:
    """A name for one occurrence: readable, fit for a topic, the same for the same rule, target and start."""
    target = "-".join(re.sub(r"[^A-Za-z0-9_-]+", "_", value) for _, value in sorted(labels.items()))[:48]
    mark = zlib.crc32(f"{rule}|{sorted(labels.items())}|{since:.3f}".encode())
    return f"{rule}-{target or 'box'}-{mark:08x}"


def alert_to_json(alert: Alert) -> dict[str, Any]:
    """An alert as plain JSON values (evidence must be such already)."""
    entry = {item.name: getattr(alert, item.name) for item in dataclasses.fields(alert)}
    for key in ("labels", "evidence", "controls"):
        entry[key] = dict(entry[key])
    return {**entry, "state": alert.state.value, "severity": alert.severity.value, "event": alert.event.value}


def alert_from_json(entry: Mapping[str, Any]) -> Alert:
    """The alert that `alert_to_json` wrote."""
    return Alert(
        **{
            **entry,
            "state": AlertState(entry["state"]),
            "severity": Severity(entry["severity"]),
            "event": AlertEvent(entry["event"]),
        }
    )
