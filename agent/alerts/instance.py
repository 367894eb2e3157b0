"""An alert instance: the state of one rule on one target, and how it is stored."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.alerts.alert_json import alert_from_json, alert_to_json
from agent.alerts.evaluators import Target, target_of
from agent.alerts.state_machine import Phase, RuleState
from agent.core.errors import VedetteError
from agent.core.nearest import unknown
from agent.core.types import Alert, AlertEvent, Labels

UPDATE_SECONDS = 60.0
"""Between what was published about an alert and an update of it, at least."""

InstanceKey = tuple[str, Target]  # rule, target


@dataclass(slots=True, kw_only=True)
class AlertInstance:
    """One rule on one target; the engine owns it.

    `id` names the current occurrence. `published` is whether it was published as firing (and so must be published
    as resolved), `latest` is what was published last (its own times are labels), at `headline_at` and about `headline`;
    `published_at` is when it was published as firing or as a reminder, `republish` whether it must be published again
    once nothing suppresses it. After a restart it does not resolve before
    `settled_at`. `reason` is why it ended, where that is not its value.
    """

    rule: str
    labels: Labels
    state: RuleState = field(default_factory=RuleState)
    id: str = ""
    published: bool = False
    republish: bool = False
    latest: Alert | None = None
    published_at: float = -math.inf
    headline: str = ""
    headline_at: float = -math.inf
    reason: str = ""
    settled_at: float = -math.inf

    @property
    def key(self) -> InstanceKey:
        """What the instance is found by."""
        return self.rule, target_of(self.labels)

    def begin(self) -> None:
        """Begin a new occurrence: the condition just turned true."""
        self.id = _alert_id(self.rule, self.labels, self.state.true_since)
        self.published = self.republish = False
        self.latest, self.reason, self.headline = None, "", ""

    def publish(self, alert: Alert, headline: str, now: float) -> None:
        """`alert` is published at `now`, about `headline`."""
        self.latest, self.headline, self.headline_at = alert, headline, now
        if alert.event is not AlertEvent.UPDATED:
            self.published_at = now

    def update_due(self, headline: str, now: float) -> bool:
        """Whether what was published is about something else by now, and that may be published: each time after as long
        as the alert was old the last time, so that a week holds fourteen updates at most."""
        if not self.published or not headline or headline == self.headline:
            return False
        return now - self.headline_at >= max(UPDATE_SECONDS, self.headline_at - self.state.true_since)

    def shift(self, seconds: float) -> None:
        """Move all times by `seconds`: they were stored on a time that was ahead."""
        self.state = self.state.shifted(seconds)
        self.published_at += seconds
        self.headline_at += seconds

    def sleep(self, seconds: float) -> None:
        """The box slept for `seconds`: a condition did not hold for that long, what must settle has not yet."""
        self.settled_at += seconds
        if self.state.phase is Phase.PENDING:
            self.state = self.state.shifted(seconds)

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
            "announced": self.published,
            "hushed": self.republish,
            "told": alert_to_json(self.latest) if self.latest else None,
            "told_at": self.published_at if self.latest else None,
            "headline": self.headline,
            "headline_at": self.headline_at if self.latest else None,
        }


def instance_from_json(entry: Mapping[str, Any]) -> AlertInstance:
    """The instance that `AlertInstance.to_json` made the values of; before 0.2 there was no `told_at`."""
    latest = alert_from_json(entry["told"]) if entry["told"] else None
    published_at = entry.get("told_at", latest.changed_at if latest else None)
    headline_at = entry.get("headline_at", published_at)
    return AlertInstance(
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
        published=bool(entry["announced"]),
        republish=bool(entry["hushed"]),
        latest=latest,
        published_at=-math.inf if published_at is None else float(published_at),
        headline=str(entry.get("headline", "")),
        headline_at=-math.inf if headline_at is None else float(headline_at),
    )


def find_alert(instances: Iterable[AlertInstance], alert_id: str) -> AlertInstance:
    """The pending or firing alert whose id is, or alone begins with, `alert_id`; VedetteError if none."""
    live = [instance for instance in instances if instance.state.phase is not Phase.INACTIVE]
    found = [instance for instance in live if instance.id == alert_id] or [
        instance for instance in live if alert_id and instance.id.startswith(alert_id)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(sorted(instance.id for instance in found)[:10])
        raise VedetteError(f"several alerts begin with {alert_id!r}: {several}")
    known = sorted({instance.id.rpartition("-")[0] for instance in live})  # as short as it may be given
    raise VedetteError(unknown("alert", alert_id, known, see="" if known else "`vedette alerts`: none fires"))


def _alert_id(rule: str, labels: Labels, since: float) -> str:
    """The id of one occurrence: readable, fit for a topic, the same for the same rule, target and start."""
    target = "-".join(re.sub(r"[^A-Za-z0-9_-]+", "_", value) for _, value in sorted(labels.items()))[:48]
    mark = zlib.crc32(f"{rule}|{sorted(labels.items())}|{since:.3f}".encode())
    return f"{rule}-{target or 'box'}-{mark:08x}"
