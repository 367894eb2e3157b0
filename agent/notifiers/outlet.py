"""One notifier at work: its route, the notices that wait for it, and when it may try again. Time is passed in."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.alerts.alert_json import alert_from_json, alert_to_json
from agent.core.errors import RetryableDelivery
from agent.core.types import Alert, AlertState
from agent.notifiers import Notice, Notifier
from agent.notifiers.attempt import SendAttempt
from agent.notifiers.routes import Route, make_notice

MOST_QUEUED = 50
MOST_FIRING = 500
FIRST_PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 600.0


@dataclass(slots=True, eq=False, kw_only=True)
class Outlet:
    """`firing` is what must be sent again, once it was sent, to a receiver that expires alerts.

    `reason` is why the last attempt failed.
    `attempt` is in progress; `cancelled` took too long, and its thread may still run for a moment.

    `not_before` and `refreshed_at` are boot time, `failing_since` and `sent_at` steady time. `waits_for_clock` is
    whether the last attempt failed by a clock that was not set.
    """

    notifier: Notifier
    route: Route
    queue: deque[Notice] = field(default_factory=deque)
    firing: dict[str, Alert] = field(default_factory=dict)
    attempt: SendAttempt | None = None
    cancelled: SendAttempt | None = None
    failures: int = 0
    reason: str = ""
    failing_since: float | None = None
    waits_for_clock: bool = False
    not_before: float = 0.0
    refreshed_at: float = 0.0
    sent_at: float | None = None
    sent: int = 0
    lost: int = 0

    @property
    def name(self) -> str:
        """What the config calls it."""
        return self.route.settings.name

    def gather(self, alert: Alert, now: float) -> None:
        """Take in `alert`, for the next notice where it passes the filters. What is over is sent again by no filter."""
        taken = self.route.gather(alert, now)
        if alert.state is AlertState.RESOLVED:
            self.firing.pop(alert.id, None)
        elif taken and self.notifier.refresh_seconds:
            self.firing[alert.id] = alert
            if len(self.firing) > MOST_FIRING:
                self.firing.popitem()

    def expiring(self) -> tuple[Alert, ...]:
        """What was sent and still fires: a receiver that expires alerts must be sent it again."""
        return tuple(alert for alert in self.firing.values() if alert.id in self.route.notified)

    def excess(self) -> Notice | None:
        """Take out the oldest notice that is not being sent, where too many wait."""
        if len(self.queue) <= MOST_QUEUED:
            return None
        place = 0 if self.attempt is None else 1
        notice = self.queue[place]
        del self.queue[place]
        return notice

    def done(self) -> None:
        """Remove the notice of the attempt that ended."""
        if self.attempt is not None and self.queue and self.queue[0] is self.attempt.notice:
            self.queue.popleft()
        self.attempt = None

    def succeeded(self, now: float, monotonic: float) -> int:
        """The attempt ended well; how many had failed before."""
        self.done()
        failures, self.failures = self.failures, 0
        self.reason, self.failing_since, self.not_before = "", None, 0.0
        self.refreshed_at, self.sent_at = monotonic, now
        self.sent += 1
        return failures

    def failed(self, error: RetryableDelivery, now: float, monotonic: float) -> float:
        """The attempt ended now, in vain; seconds to wait: more each time, and what its server asks for at least."""
        self.attempt = None
        self.failures += 1
        self.reason, self.waits_for_clock = str(error), error.by_clock
        self.failing_since = now if self.failing_since is None else self.failing_since
        longest = min(LONGEST_PAUSE_SECONDS, error.longest_pause)
        ceiling = min(longest, FIRST_PAUSE_SECONDS * 2 ** min(self.failures - 1, 20))
        pause = max(random.uniform(ceiling / 2, ceiling), error.retry_after)
        self.not_before = monotonic + pause
        return pause

    def take_over(self, old: Outlet) -> None:
        """Continue with what waits in the outlet that this one replaces."""
        self.queue, self.firing = old.queue, old.firing
        self.attempt, self.cancelled = old.attempt, old.cancelled
        self.sent, self.lost, self.sent_at = old.sent, old.lost, old.sent_at
        self.route.restore(old.route.to_json())

    def report(self, monotonic: float, unix_offset: float = 0.0) -> dict[str, Any]:
        """How it stands, as plain values; `retry_seconds` is null where nothing failed.

        `unix_offset` makes steady time Unix time, in seconds.
        """
        failing = self.failures > 0
        sent_at, since = (
            None if at is None else at + unix_offset for at in (self.sent_at, self.failing_since)
        )
        return {
            "notifier": self.name,
            "kind": self.route.settings.kind,
            "state": "failing" if failing else "ok",
            "waiting": len(self.queue),
            "sent": self.sent,
            "lost": self.lost,
            "sent_at": sent_at,
            "failures": self.failures,
            "failing_since": since,
            "reason": self.reason,
            "retry_seconds": round(max(0.0, self.not_before - monotonic), 1) if failing else None,
        }

    def to_json(self) -> dict[str, Any]:
        """What a restart must know, as plain JSON values."""
        return {
            "route": self.route.to_json(),
            "firing": [alert_to_json(alert) for alert in self.firing.values()],
            "queue": [
                {
                    "made_at": notice.made_at,
                    "more": notice.more,
                    "alerts": [alert_to_json(alert) for alert in notice.alerts],
                }
                for notice in self.queue
            ],
        }

    def restore(self, entry: Mapping[str, Any], *, device: str, site: str) -> None:
        """Continue from what `to_json` returned."""
        self.route.restore(entry["route"])
        firing = [alert_from_json(item) for item in entry["firing"]]
        self.firing = {alert.id: alert for alert in firing}
        self.queue = deque(
            make_notice(
                tuple(alert_from_json(item) for item in notice["alerts"]),
                device=device,
                site=site,
                now=float(notice["made_at"]),
                more=int(notice["more"]),
            )
            for notice in entry["queue"]
        )
