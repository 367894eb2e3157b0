"""Notifiers: how people are notified of alerts besides MQTT. A kind is one file with its `Options`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from agent.core.registry import Registry
from agent.core.types import Alert, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One notification: alerts that belong together, worst first.

    `text` describes all of them; `more` counts those that did not fit into `alerts`. `snapshot` is a JPEG
    of the scene, where there is one and the settings allow it.
    """

    id: str
    device: str
    site: str
    title: str
    text: str
    severity: Severity
    resolved: bool
    alerts: tuple[Alert, ...]
    made_at: float
    more: int = 0
    snapshot: bytes | None = None


class Notifier(Protocol):
    """One way to notify people. Made as `Kind(options)`; raises ConfigError where the options cannot be right.

    `refresh_seconds`, where not 0, is how often firing alerts must be sent again, to a receiver that expires them.
    `timeout_seconds` is how long `send` may take as a whole: the runner then ends it and counts it as failed.
    """

    Options: ClassVar[type[Any]]
    timeout_seconds: float

    @property
    def refresh_seconds(self) -> float:
        """Seconds; 0: never."""

    def send(self, notice: Notice) -> None:
        """Send it; raises RetryableDelivery or PermanentDelivery. Errors never show what is secret."""


NOTIFIERS = Registry(
    "notifier",
    {
        "webhook": "agent.notifiers.webhook:WebhookNotifier",
        "apprise": "agent.notifiers.apprise:AppriseNotifier",
        "alertmanager": "agent.notifiers.alertmanager:AlertmanagerNotifier",
    },
    extras={"apprise": "notify"},
)
