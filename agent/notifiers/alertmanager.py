"""Prometheus Alertmanager (API v2): a site that has one routes, silences and escalates there.

An alert there expires at `endsAt`, so firing alerts are sent again every third of `hold`; a box that goes offline
leaves no alert behind for longer than that.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from agent.alerts.alert_text import page_command
from agent.config.fields import seal, setting
from agent.core import clock
from agent.core.errors import ConfigError
from agent.core.secret import Masked, Secret
from agent.core.types import Alert, AlertState
from agent.notifiers import Notice
from agent.notifiers.http import check_url, post_json


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertmanagerOptions:
    """Settings of the kind `alertmanager`."""

    url: Masked = setting(
        kind="url", doc="Address of the Alertmanager.", example='"http://alertmanager.example:9093"'
    )
    username: str = setting("", doc="User name, where it asks for one (basic authentication).")
    password: Secret = setting("", kind="secret", doc="Its password.")
    hold: float = setting(
        900.0, kind="duration", minimum=60, doc="An alert that is not sent again for this long ends there."
    )
    timeout: float = setting(
        10.0, kind="duration", minimum=1, maximum=20, doc="How long to wait for an answer."
    )

    def __post_init__(self) -> None:
        """Hold secrets as such."""
        seal(self)


class AlertmanagerNotifier:
    """Sends alerts to an Alertmanager."""

    Options = AlertmanagerOptions

    def __init__(self, options: AlertmanagerOptions) -> None:
        check_url(options.url, keys=True)
        if "@" in options.url.reveal():
            raise ConfigError(
                "holds a user name", key="url", expected="https://HOST:PORT, with `username` and `password`"
            )
        self._options = options
        self.refresh_seconds, self.timeout_seconds = options.hold / 3, options.timeout

    def send(self, notice: Notice) -> None:
        """POST its alerts; raises RetryableDelivery or PermanentDelivery."""
        options = self._options
        url = Masked(f"{options.url.reveal().rstrip('/')}/api/v2/alerts")
        now = clock.wall()
        body = [entry(alert, notice, now + options.hold) for alert in notice.alerts]
        post_json(url, body, authorization=_login(options), timeout=options.timeout)


def _login(options: AlertmanagerOptions) -> Secret:
    """Basic authentication's header, where there is a user name."""
    if not options.username:
        return Secret()
    credentials = f"{options.username}:{options.password.reveal()}".encode()
    return Secret(f"Basic {base64.b64encode(credentials).decode()}")


def entry(alert: Alert, notice: Notice, ends_at: float) -> dict[str, Any]:
    """One alert in the form of the API: labels identify it, so they must be the same when it resolves."""
    firing = alert.state is not AlertState.RESOLVED
    labels = {
        **alert.labels,
        "alertname": alert.rule,
        "severity": alert.severity.value,
        "device": notice.device,
        "site": notice.site,
    }
    texts = {
        "summary": alert.what,
        "expected": alert.expected,
        "window": alert.window,
        "advice": alert.advice,
        "runbook": alert.runbook,
        "page": page_command(alert.rule) if alert.runbook else "",
        "alert_id": alert.id,
    }
    return {
        "labels": {key: value for key, value in labels.items() if value},
        "annotations": {key: value for key, value in texts.items() if value},
        "startsAt": _stamp(alert.first_seen),
        "endsAt": _stamp(ends_at if firing else max(alert.changed_at, alert.first_seen + 1)),
    }


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="milliseconds")
