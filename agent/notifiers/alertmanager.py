"""Prometheus Alertmanager (API v2): a site that has one routes, silences and escalates there.

An alert there expires at `endsAt`, so firing alerts are sent again every third of `hold`; a box that goes offline
leaves no alert behind for longer than that.

An Alertmanager hides what ended before its own present, so all times are given in its time: by its `Date` header. Until
that is known, an empty list asks for it; an Alertmanager that sends none gets no times that could hide a firing alert.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import structlog

from agent.alerts.alert_text import page_command
from agent.alerts.words import duration, stamp
from agent.config.fields import seal, setting
from agent.core import clock
from agent.core.errors import ConfigError
from agent.core.secret import Masked, Secret
from agent.core.types import Alert, AlertState
from agent.notifiers import Notice
from agent.notifiers.http import check_url, post_json

log = structlog.get_logger("vedette.notifiers")

UNTIMED_SECONDS = 60.0
SKEW_SECONDS = 5.0  # the header has whole seconds, and the answer takes its time


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertmanagerOptions:
    """Settings of the kind `alertmanager`."""

    url: Masked = setting(
        kind="url", doc="Address of the Alertmanager.", example='"http://alertmanager.example:9093"'
    )
    username: str = setting("", doc="User name, if the server asks for one (basic authentication).")
    password: Secret = setting("", kind="secret", doc="Its password.")
    hold: float = setting(
        900.0, kind="duration", minimum=60, doc="Time after which an alert that is not sent again ends there."
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
        self.timeout_seconds = 2 * options.timeout  # the first time its clock is asked for too
        self._offset: float | None = None  # what makes steady time the Alertmanager's
        self._warned = 0.0

    @property
    def refresh_seconds(self) -> float:
        """How often firing alerts are sent again; without times they end after its `resolve_timeout`, 5 min mostly."""
        return self._options.hold / 3 if self._offset is not None else UNTIMED_SECONDS

    def send(self, notice: Notice) -> None:
        """POST its alerts; raises RetryableDelivery or PermanentDelivery."""
        if self._offset is None:
            self._post([])
        if self._offset is None:
            self._post([untimed(alert, notice) for alert in notice.alerts])
            return
        now, ahead = clock.now() + self._offset, self._offset - clock.offset()
        self._post([entry(alert, notice, now, self._options.hold, ahead=ahead) for alert in notice.alerts])

    def _post(self, body: list[dict[str, Any]]) -> None:
        options = self._options
        url = Masked(f"{options.url.reveal().rstrip('/')}/api/v2/alerts")
        date = post_json(url, body, authorization=_login(options), timeout=options.timeout)
        if date is not None:
            self._compare(date - clock.unix_now())

    def _compare(self, ahead: float) -> None:
        """Take note of by how many seconds the Alertmanager's clock is ahead of ours; log it where that is new."""
        ahead = ahead if abs(ahead) > SKEW_SECONDS else 0.0
        self._offset = clock.offset() + ahead
        if abs(ahead - self._warned) <= SKEW_SECONDS:
            return
        self._warned = ahead
        if not ahead:
            log.info("the clocks of this box and of the Alertmanager agree again")
            return
        log.warning(
            f"this box's clock is {duration(abs(ahead))} {'behind' if ahead > 0 else 'ahead of'} the Alertmanager's: "
            "its alerts are sent in the Alertmanager's time",
            clock=stamp(clock.unix_now()),
            clock_synchronised=clock.synced(),
            mend="have NTP run on both (timedatectl)",
        )


def _login(options: AlertmanagerOptions) -> Secret:
    """Basic authentication's header, where there is a user name."""
    if not options.username:
        return Secret()
    credentials = f"{options.username}:{options.password.reveal()}".encode()
    return Secret(f"Basic {base64.b64encode(credentials).decode()}")


def entry(alert: Alert, notice: Notice, now: float, hold: float, *, ahead: float = 0.0) -> dict[str, Any]:
    """One alert in the form of the API; one that fires at `now` ends after `hold` seconds unless it is sent again.

    `now` is the Alertmanager's; `ahead` is what makes this box's Unix time the Alertmanager's, in seconds.
    """
    starts = min(alert.first_seen + ahead, now)
    ended = max(min(alert.changed_at + ahead, now), starts + 1)
    firing = alert.state is not AlertState.RESOLVED
    times = {"startsAt": _stamp(starts), "endsAt": _stamp(now + hold if firing else ended)}
    return {**untimed(alert, notice), **times}


def untimed(alert: Alert, notice: Notice) -> dict[str, Any]:
    """One alert without times: the Alertmanager takes it for beginning now and ends it by its own `resolve_timeout`.

    Labels identify it, so they must be the same when it resolves. One that resolved needs an end: in 1970.
    """
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
    body: dict[str, Any] = {
        "labels": {key: value for key, value in labels.items() if value},
        "annotations": {key: value for key, value in texts.items() if value},
    }
    return body if alert.state is not AlertState.RESOLVED else {**body, "endsAt": _stamp(1.0)}


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(max(at, 1.0), timezone.utc).isoformat(timespec="milliseconds")
