"""The notifiers' worker: gathers alerts for each notifier, sends notices, retries, and stores both for a restart.

Laws
----
1. `offer` never blocks: it only puts alerts into a bounded inbox.
2. Each notifier has its own batch, queue, backoff and thread for the attempt in progress; one that hangs holds up no
   other. An attempt that takes longer than the notifier's `timeout_seconds` has failed; the next one waits for the end
   of its thread. A pause begins at the end of an attempt and is at least as long as the server asks for (Retry-After).
3. A notice is retried until it is accepted, refused for good, older than EXPIRY_SECONDS, or displaced by
   MOST_QUEUED newer ones; every loss is logged.
4. Batches and queues are on disk before a notice is sent; a restart may send one twice, and loses none.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from agent.config.alert_settings import NotifierSettings
from agent.core import clock
from agent.core.arguments import Handler, check_names
from agent.core.errors import ConfigError, PermanentDelivery, RetryableDelivery
from agent.core.state_dir import write_atomic
from agent.core.types import Alert, AlertState
from agent.core.untrusted import parse_kept
from agent.core.worker import Worker
from agent.notifiers import NOTIFIERS, Notice, Notifier
from agent.notifiers.attempt import SendAttempt, too_late
from agent.notifiers.outlet import LONGEST_PAUSE_SECONDS, Outlet
from agent.notifiers.routes import Route, check, make_notice

log = structlog.get_logger("vedette.notifiers")

FILE_NAME = "notices.json"
LARGEST_KEPT = 64 * 1024 * 1024
MOST_OFFERED = 20_000
EXPIRY_SECONDS = 86400.0
IDLE_SECONDS = 0.5
LAST_SECONDS = 2.0
"""How long a stop waits for attempts in progress; what is not sent by then is sent after the start."""

SnapshotOf = Callable[[str], "bytes | None"]
Notifiers = Sequence[tuple[NotifierSettings, Notifier]]


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
        self._removed: deque[str] = deque()
        self._path = state_directory / FILE_NAME
        self._device, self._site, self._snapshot = device, site, snapshot
        self._inbox: deque[Alert] = deque(maxlen=MOST_OFFERED)
        self._saved, self._failing = b"", False
        self._ended = threading.Event()
        self._restored = False
        self._clock_synced = True
        self.sent = self.lost = 0

    def offer(self, alerts: Sequence[Alert]) -> None:
        """Queue `alerts` for the notifiers whose filters they pass; may be called from any thread, returns at once."""
        self._inbox.extend(alerts)

    def change(self, notifiers: Notifiers) -> None:
        """Replace the notifiers at the next round; one that keeps its name keeps its queue. From any thread."""
        self._replacement = notifiers

    def remove(self, camera: str) -> None:
        """Send no more images of a camera that was removed or changed: its masks may be others now. From any thread."""
        self._removed.append(camera)

    def run(self, stop: threading.Event) -> None:
        """Work until stopped; what is not sent by then is stored."""
        if not self._restored:  # after a failure, what is in memory is newer
            self._restored = True
            self._restore()
        while not stop.is_set():
            self._ended.clear()
            self.work(clock.now(), clock.boottime())
            self.beat()
            self._ended.wait(IDLE_SECONDS)
        self._gather(clock.now())
        self.settle(LAST_SECONDS)
        self._save()

    def work(self, now: float, monotonic: float) -> None:
        """One round: take in what ended and what was offered, make notices of the batches that are due, begin to send.

        Returns at once: what is sent is sent in threads.
        """
        self._replace_outlets()
        self._discard_images()
        self._collect(now, monotonic)
        self._gather(now)
        if clock.synced() and not self._clock_synced:
            self._retry_now()
        self._clock_synced = clock.synced()
        offset = clock.local_offset()
        for outlet in self._outlets:
            if outlet.route.due(now, offset):
                self._enqueue(outlet, now)
        for outlet in self._outlets:
            self._refresh(outlet, now, monotonic)
        self._save()
        for outlet in self._outlets:
            self._begin(outlet, now, monotonic)

    def settle(self, seconds: float) -> bool:
        """Wait at most so long for the attempts in progress, and take in how they ended; whether all have."""
        until = clock.monotonic() + seconds
        for outlet in self._outlets:
            if outlet.attempt is not None:
                outlet.attempt.wait(max(0.0, until - clock.monotonic()))
        self._collect(clock.now(), clock.boottime())
        return all(outlet.attempt is None for outlet in self._outlets)

    def report(self) -> list[dict[str, Any]]:
        """How each notifier stands, as plain values; may be called from any thread."""
        now, offset = clock.boottime(), clock.offset()
        return [outlet.report(now, offset) for outlet in self._outlets]

    def handlers(self) -> dict[str, Handler]:
        """The command `notifiers`."""

        def notifiers(args: Mapping[str, Any]) -> Mapping[str, Any]:
            check_names(args)
            return {"notifiers": self.report()}

        return {"notifiers": notifiers}

    def _replace_outlets(self) -> None:
        replacement, self._replacement = self._replacement, None
        if replacement is None:
            return
        before = {outlet.name: outlet for outlet in self._outlets}
        self._outlets = _outlets(replacement)
        for outlet in self._outlets:
            if old := before.pop(outlet.name, None):
                outlet.take_over(old)
        for removed in before.values():
            if removed.attempt is not None:
                removed.attempt.cancel()

    def _gather(self, now: float) -> None:
        while self._inbox:
            alert = self._inbox.popleft()
            for outlet in self._outlets:
                self.attempt("gather an alert for a notifier", partial(outlet.gather, alert, now))

    def _enqueue(self, outlet: Outlet, now: float) -> None:
        alerts, more = outlet.route.take()
        if not alerts:
            return
        snapshot = self._scene(alerts) if outlet.route.settings.picture else None
        outlet.queue.append(
            make_notice(alerts, device=self._device, site=self._site, now=now, more=more, snapshot=snapshot)
        )
        while (excess := outlet.excess()) is not None:
            self._lose(outlet, excess, "too many notices wait")

    def _scene(self, alerts: Sequence[Alert]) -> bytes | None:
        camera = _shown(alerts)
        return self._snapshot(camera) if self._snapshot and camera else None

    def _discard_images(self) -> None:
        while self._removed:
            camera = self._removed.popleft()
            for outlet in self._outlets:
                for place, notice in enumerate(outlet.queue):
                    running = outlet.attempt is not None and outlet.attempt.notice is notice
                    if notice.snapshot is not None and not running and _shown(notice.alerts) == camera:
                        outlet.queue[place] = replace(notice, snapshot=None)

    def _refresh(self, outlet: Outlet, now: float, monotonic: float) -> None:
        every = outlet.notifier.refresh_seconds
        if not every or outlet.queue or monotonic - outlet.refreshed_at < every:
            return
        if alerts := outlet.expiring():
            outlet.queue.append(make_notice(alerts, device=self._device, site=self._site, now=now))

    def _begin(self, outlet: Outlet, now: float, monotonic: float) -> None:
        if not outlet.queue or outlet.attempt is not None or monotonic < outlet.not_before:
            return
        if outlet.cancelled is not None and outlet.cancelled.running:
            return
        outlet.cancelled = None
        notice = outlet.queue[0]
        if now - notice.made_at > EXPIRY_SECONDS:
            self._lose(outlet, outlet.queue.popleft(), "it is a day old")
            return
        outlet.attempt = SendAttempt(outlet.notifier, notice, monotonic, self._ended.set)

    def _collect(self, now: float, monotonic: float) -> None:
        """Take in how attempts ended; what was sent is stored at once: a kill later must not have it sent twice."""
        for outlet in self._outlets:
            attempt = outlet.attempt
            if attempt is None:
                continue
            if attempt.ended:
                self._take_in(outlet, attempt.error, now, monotonic)
                self._save()
            elif attempt.overdue(monotonic):
                attempt.cancel()
                outlet.cancelled = attempt
                self._take_in(outlet, too_late(outlet.notifier), now, monotonic)

    def _take_in(self, outlet: Outlet, error: Exception | None, now: float, monotonic: float) -> None:
        if error is None:
            self.sent += 1
            if failures := outlet.succeeded(now, monotonic):
                log.info("notifier works again", notifier=outlet.name, after_failures=failures)
        elif isinstance(error, RetryableDelivery):
            before = outlet.reason
            pause = outlet.failed(error, now, monotonic)
            if outlet.reason != before or pause > LONGEST_PAUSE_SECONDS / 2:
                log.warning(
                    "notifier cannot deliver, retrying",
                    notifier=outlet.name,
                    reason=outlet.reason,
                    retry_seconds=round(pause, 1),
                    waiting=len(outlet.queue),
                )
        else:
            self._refused(outlet, error)

    def _refused(self, outlet: Outlet, error: Exception) -> None:
        """A notice that will never be accepted ends no other."""
        reason = str(error)
        if not isinstance(error, PermanentDelivery):
            self.discard("send a notice", error)
            reason = f"unexpected {type(error).__name__}"
        if outlet.attempt is not None:
            self._lose(outlet, outlet.attempt.notice, reason)
        outlet.done()

    def _retry_now(self) -> None:
        """The clock is synchronised: certificates that were refused for their dates may be valid now."""
        for outlet in self._outlets:
            if outlet.waits_for_clock:
                outlet.not_before = 0.0

    def _lose(self, outlet: Outlet, notice: Notice, reason: str) -> None:
        self.lost += 1
        outlet.lost += 1
        outlet.reason = outlet.reason or f"a notice was lost: {reason}"
        log.error("notice discarded", notifier=outlet.name, reason=reason, notice=notice.title)

    # -- over a restart ---------------------------------------------------------------------------------

    def _save(self) -> None:
        data = json.dumps({outlet.name: outlet.to_json() for outlet in self._outlets}, default=str).encode()
        if data == self._saved:
            return
        try:
            write_atomic(self._path, data)
        except OSError as error:
            if not self._failing:
                log.error("notices cannot be stored, trying again", path=str(self._path), error=str(error))
            self._failing = True
        else:
            self._saved, self._failing = data, False

    def _restore(self) -> None:
        try:
            stored = parse_kept(self._path.read_bytes(), largest=LARGEST_KEPT)
            for outlet in self._outlets:
                if outlet.name in stored:
                    outlet.restore(stored[outlet.name], device=self._device, site=self._site)
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.error("stored notices cannot be read, starting without them", error=repr(error))


def _shown(alerts: Sequence[Alert]) -> str | None:
    """The camera whose frame is attached to a notice of `alerts`."""
    cameras = (alert.labels.get("camera") for alert in alerts if alert.state is not AlertState.RESOLVED)
    return next((name for name in cameras if name), None)


def _outlets(notifiers: Notifiers) -> list[Outlet]:
    return [Outlet(notifier=notifier, route=Route(settings=settings)) for settings, notifier in notifiers]
