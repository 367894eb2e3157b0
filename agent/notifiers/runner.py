"""The notifiers' worker: gathers alerts for each notifier, sends notices, retries, and stores both for a restart.

Laws
----
1. `offer` never blocks: it only puts alerts into a bounded inbox.
2. Each notifier has its own batch, queue and backoff; one that cannot be reached does not hold up another
   for longer than its timeout.
3. A notice is retried until it is accepted, refused for good, older than EXPIRY_SECONDS, or displaced by
   MOST_QUEUED newer ones; every loss is logged.
4. Batches and queues are on disk before a notice is sent; a restart may send one twice, and loses none.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from agent.alerts.alert_json import alert_from_json, alert_to_json
from agent.config.schema import NotifierSettings
from agent.core import clock
from agent.core.errors import ConfigError, PermanentDelivery, RetryableDelivery
from agent.core.state_dir import write_atomic
from agent.core.types import Alert, AlertState
from agent.core.untrusted import parse_kept
from agent.core.worker import Worker
from agent.notifiers import NOTIFIERS, Notice, Notifier
from agent.notifiers.routes import Route, check, make_notice

log = structlog.get_logger("vedette.notifiers")

FILE_NAME = "notices.json"
LARGEST_KEPT = 64 * 1024 * 1024
MOST_OFFERED = 20_000
MOST_QUEUED = 50
MOST_FIRING = 500
EXPIRY_SECONDS = 86400.0
FIRST_PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 600.0

SnapshotOf = Callable[[str], "bytes | None"]
Notifiers = Sequence[tuple[NotifierSettings, Notifier]]


@dataclass(slots=True, eq=False, kw_only=True)
class _Outlet:
    """One notifier with its route and queue; `firing` is what must be sent again to a receiver that expires alerts."""

    notifier: Notifier
    route: Route
    queue: deque[Notice] = field(default_factory=deque)
    firing: dict[str, Alert] = field(default_factory=dict)
    failures: int = 0
    not_before: float = 0.0  # monotonic
    refreshed_at: float = 0.0  # monotonic

    @property
    def name(self) -> str:
        return self.route.settings.name


def make_notifiers(settings: Sequence[NotifierSettings]) -> Notifiers:
    """The notifiers that are enabled; raises ConfigError (naming notifier and key) or MissingExtra."""
    made: list[tuple[NotifierSettings, Notifier]] = []
    for entry in settings:
        check(entry)
        if entry.enabled:
            kind = NOTIFIERS.load(entry.kind)
            try:
                made.append((entry, kind(entry.options)))
            except ConfigError as error:
                key = f"notifiers[{entry.name}].{error.key}"
                raise ConfigError(error.message, key=key, expected=error.expected) from None
    return made


class NotifierWorker(Worker):
    """Sends the alerts it is offered through `notifiers`; `snapshot` returns a JPEG of a camera's last frame."""

    def __init__(
        self,
        notifiers: Notifiers,
        state_directory: Path,
        *,
        device: str,
        site: str,
        snapshot: SnapshotOf | None = None,
    ) -> None:
        super().__init__("notifiers")
        self._outlets = _outlets(notifiers)
        self._replacement: Notifiers | None = None
        self._path = state_directory / FILE_NAME
        self._device, self._site, self._snapshot = device, site, snapshot
        self._inbox: deque[Alert] = deque(maxlen=MOST_OFFERED)
        self._saved = b""
        self._restored = False
        self.sent = self.lost = 0

    def offer(self, alerts: Sequence[Alert]) -> None:
        """Queue `alerts` for the notifiers whose filters they pass; may be called from any thread, returns at once."""
        self._inbox.extend(alerts)

    def change(self, notifiers: Notifiers) -> None:
        """Replace the notifiers at the next round; one that keeps its name keeps its queue. From any thread."""
        self._replacement = notifiers

    def run(self, stop: threading.Event) -> None:
        """Work until stopped; what is not sent by then is stored."""
        if not self._restored:  # after a failure, what is in memory is newer
            self._restored = True
            self._restore()
        while not stop.is_set():
            self.work(clock.wall(), clock.monotonic())
            self.beat()
            stop.wait(0.5)
        self._gather(clock.wall())
        self._save()

    def work(self, now: float, monotonic: float) -> None:
        """One round: gather what was offered, make notices of the batches that are due, send them."""
        self._replace_outlets()
        self._gather(now)
        offset = float(time.localtime(now).tm_gmtoff)
        for outlet in self._outlets:
            if outlet.route.due(now, offset):
                self._enqueue(outlet, now)
        self._save()
        for outlet in self._outlets:
            self._refresh(outlet, now, monotonic)
            self._send(outlet, now, monotonic)
            self._save()  # at once: a slow notifier after it, and a kill meanwhile, must not send it twice
            self.beat()

    def _replace_outlets(self) -> None:
        replacement, self._replacement = self._replacement, None
        if replacement is None:
            return
        before = {outlet.name: outlet for outlet in self._outlets}
        self._outlets = _outlets(replacement)
        for outlet in self._outlets:
            if old := before.get(outlet.name):
                outlet.queue, outlet.firing = old.queue, old.firing
                outlet.route.restore(old.route.to_json())

    def _gather(self, now: float) -> None:
        while self._inbox:
            alert = self._inbox.popleft()
            for outlet in self._outlets:
                self.attempt("gather an alert for a notifier", partial(outlet.route.gather, alert, now))

    def _enqueue(self, outlet: _Outlet, now: float) -> None:
        alerts, more = outlet.route.take()
        if not alerts:
            return
        if outlet.notifier.refresh_seconds:
            for alert in alerts:
                outlet.firing.pop(alert.id, None)
                if alert.state is not AlertState.RESOLVED and len(outlet.firing) < MOST_FIRING:
                    outlet.firing[alert.id] = alert
        snapshot = self._scene(alerts) if outlet.route.settings.picture else None
        outlet.queue.append(
            make_notice(alerts, device=self._device, site=self._site, now=now, more=more, snapshot=snapshot)
        )
        while len(outlet.queue) > MOST_QUEUED:
            self._lose(outlet, outlet.queue.popleft(), "too many notices wait")

    def _scene(self, alerts: Sequence[Alert]) -> bytes | None:
        cameras = (alert.labels.get("camera") for alert in alerts if alert.state is not AlertState.RESOLVED)
        camera = next((name for name in cameras if name), None)
        return self._snapshot(camera) if self._snapshot and camera else None

    def _refresh(self, outlet: _Outlet, now: float, monotonic: float) -> None:
        every = outlet.notifier.refresh_seconds
        if not every or not outlet.firing or outlet.queue:
            return
        if monotonic - outlet.refreshed_at >= every:
            alerts = tuple(outlet.firing.values())
            outlet.queue.append(make_notice(alerts, device=self._device, site=self._site, now=now))

    def _send(self, outlet: _Outlet, now: float, monotonic: float) -> None:
        if not outlet.queue or monotonic < outlet.not_before:
            return
        notice = outlet.queue[0]
        if now - notice.made_at > EXPIRY_SECONDS:
            self._lose(outlet, outlet.queue.popleft(), "it is a day old")
            return
        try:
            outlet.notifier.send(notice)
        except RetryableDelivery as error:
            self._wait(outlet, str(error), monotonic)
            return
        except PermanentDelivery as error:
            self._lose(outlet, outlet.queue.popleft(), str(error))
            return
        except Exception as error:  # noqa: BLE001  (the workers' rule: one notice ends no other)
            self.discard("send a notice", error)
            self._lose(outlet, outlet.queue.popleft(), f"unexpected {type(error).__name__}")
            return
        outlet.queue.popleft()
        outlet.refreshed_at = monotonic
        self.sent += 1
        if outlet.failures:
            log.info("notifier works again", notifier=outlet.name, after_failures=outlet.failures)
            outlet.failures, outlet.not_before = 0, 0.0

    def _wait(self, outlet: _Outlet, reason: str, monotonic: float) -> None:
        outlet.failures += 1
        ceiling = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(outlet.failures - 1, 20))
        pause = random.uniform(ceiling / 2, ceiling)
        outlet.not_before = monotonic + pause
        if outlet.failures == 1 or pause > LONGEST_PAUSE_SECONDS / 2:
            log.warning(
                "notifier cannot deliver, retrying", notifier=outlet.name, reason=reason, retry_seconds=pause
            )

    def _lose(self, outlet: _Outlet, notice: Notice, reason: str) -> None:
        self.lost += 1
        log.error("notice is lost", notifier=outlet.name, reason=reason, notice=notice.title)

    # -- over a restart ---------------------------------------------------------------------------------

    def _save(self) -> None:
        data = json.dumps({outlet.name: _to_json(outlet) for outlet in self._outlets}, default=str).encode()
        if data == self._saved:
            return
        try:
            write_atomic(self._path, data)
        except OSError as error:
            log.error("notices cannot be stored", path=str(self._path), error=str(error))
        self._saved = data

    def _restore(self) -> None:
        try:
            stored = parse_kept(self._path.read_bytes(), largest=LARGEST_KEPT)
            for outlet in self._outlets:
                if outlet.name in stored:
                    self._restore_outlet(outlet, stored[outlet.name])
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.error("stored notices cannot be read, starting without them", error=repr(error))

    def _restore_outlet(self, outlet: _Outlet, entry: Mapping[str, Any]) -> None:
        outlet.route.restore(entry["route"])
        firing = [alert_from_json(item) for item in entry["firing"]]
        outlet.firing = {alert.id: alert for alert in firing}
        outlet.queue = deque(
            make_notice(
                tuple(alert_from_json(item) for item in notice["alerts"]),
                device=self._device,
                site=self._site,
                now=float(notice["made_at"]),
                more=int(notice["more"]),
            )
            for notice in entry["queue"]
        )


def _outlets(notifiers: Notifiers) -> list[_Outlet]:
    return [_Outlet(notifier=notifier, route=Route(settings=settings)) for settings, notifier in notifiers]


def _to_json(outlet: _Outlet) -> dict[str, Any]:
    return {
        "route": outlet.route.to_json(),
        "firing": [alert_to_json(alert) for alert in outlet.firing.values()],
        "queue": [
            {
                "made_at": notice.made_at,
                "more": notice.more,
                "alerts": [alert_to_json(alert) for alert in notice.alerts],
            }
            for notice in outlet.queue
        ],
    }
