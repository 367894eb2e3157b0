"""Webhook: a POST of JSON, for Slack's incoming webhooks (Mattermost, Rocket.Chat too) or with the whole alerts."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from agent.alerts.alert_json import alert_to_json
from agent.config.fields import seal, setting
from agent.core.secret import Secret
from agent.notifiers import Notice
from agent.notifiers.http import check_url, post_json

LONGEST_TEXT = 3500  # Slack cuts a message at 4,000 characters


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookOptions:
    """Settings of the kind `webhook`."""

    url: Secret = setting(
        kind="secret",
        doc="Address for the POST requests.",
        example='"https://hooks.slack.com/services/T0/B0/XX"',
    )
    format: str = setting(
        "slack", choices=("slack", "json"), doc='slack: {"text": ...}; json: complete alerts, for programs.'
    )
    authorization: Secret = setting("", kind="secret", doc='Authorization header, such as "Bearer ...".')
    timeout: float = setting(
        10.0, kind="duration", minimum=1, maximum=20, doc="How long to wait for an answer."
    )

    def __post_init__(self) -> None:
        """Hold secrets as such."""
        seal(self)


class WebhookNotifier:
    """POSTs notices to a URL."""

    Options = WebhookOptions
    refresh_seconds = 0.0

    def __init__(self, options: WebhookOptions) -> None:
        check_url(options.url)
        self._options = options
        self.timeout_seconds = options.timeout

    def send(self, notice: Notice) -> None:
        """POST it; raises RetryableDelivery or PermanentDelivery."""
        options = self._options
        body = slack_body(notice) if options.format == "slack" else whole_body(notice)
        post_json(options.url, body, authorization=options.authorization, timeout=options.timeout)


def slack_body(notice: Notice) -> dict[str, Any]:
    """`{"text": ...}` in Slack's markup, with its three special characters escaped."""
    text = f"*{_escaped(notice.title)}*\n{_escaped(notice.text)}"
    return {"text": text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def whole_body(notice: Notice) -> dict[str, Any]:
    """The notice with its whole alerts; the snapshot as base64."""
    body: dict[str, Any] = {
        "id": notice.id,
        "device": notice.device,
        "site": notice.site,
        "title": notice.title,
        "text": notice.text,
        "severity": notice.severity.value,
        "resolved": notice.resolved,
        "alerts": [alert_to_json(alert) for alert in notice.alerts],
        "more": notice.more,
    }
    if notice.snapshot is not None:
        body["picture_jpeg"] = base64.b64encode(notice.snapshot).decode()
    return body
