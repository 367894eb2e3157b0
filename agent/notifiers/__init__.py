"""Notifiers: how people are told of alerts besides MQTT. A kind is one file with its `Options`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from agent.core.registry import Registry
from agent.core.types import Alert, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What one notifier is to tell at once: alerts that belong together, worst first.

    `text` says all of them in words; `more` counts those that did not fit into `alerts`. `picture` is a JPEG
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
    picture: bytes | None = None


class Notifier(Protocol):
    """One way to tell people. Made as `Kind(options)`; ConfigError where the options cannot be right.

    `refresh_seconds`, where not 0, is how often what still fires is to be sent again (a receiver that
    forgets).
    """

    Options: ClassVar[type[Any]]
    refresh_seconds: float

    def send(self, notice: Notice) -> None:
        """Tell it; raises RetryableDelivery or PermanentDelivery. Errors never show what is secret."""


NOTIFIERS = Registry(
    "notifier",
    {
        "webhook": "agent.notifiers.webhook:WebhookNotifier",
        "apprise": "agent.notifiers.apprise:AppriseNotifier",
        "alertmanager": "agent.notifiers.alertmanager:AlertmanagerNotifier",
    },
    extras={"apprise": "notify"},
)
