"""The collector: takes messages from the subscriber into the live fleet, the history and the stream of changes."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping
from typing import Any

from agent.core import clock
from agent.core.printable import printable
from agent.core.untrusted import BadInput, take_flag, take_text
from agent.dashboard.fleet import SILENT_SECONDS, Device, Fleet, Processed
from agent.dashboard.readings import NAME, SENTENCE, Body, moment, name_of, read_camera, read_gpu, read_host
from agent.dashboard.subscriber import Subscriber
from agent.dashboard.web.commands import Commands
from agent.dashboard.web.fields import changes, covered, fields_of, updated
from agent.dashboard.web.history import History
from agent.dashboard.web.rows import Cell, row_of
from agent.dashboard.web.stream import Stream

MOST_DEVICES = 10_000
ALERT_ID = 200
LONGEST_RUNBOOK = 100
RETAINED_SECONDS = 30.0
"""After a subscription, all that is retained has arrived by then."""
EARLY_SECONDS = 10.0
"""What came so long before the subscription was noticed may belong to it."""
_CURVED = {"host": read_host, "gpu": read_gpu, "camera": read_camera}
"""The families with curves; what cannot be shown live (a wrong type) is kept out of the history too."""


class Collector:
    """Owns fleet and history; `run` is its thread, `process` and `flush` are its steps."""

    def __init__(
        self, subscriber: Subscriber, history: History, stream: Stream, commands: Commands, prefix: str
    ) -> None:
        self._subscriber, self._history, self._stream, self._commands = subscriber, history, stream, commands
        self.fleet = Fleet(prefix, most_devices=MOST_DEVICES)
        self._touched: dict[tuple[str, str], Device] = {}
        self._alerts = False
        self._history_error, self._failed = "", False
        self._shown: set[tuple[str, str]] = set()
        self._silence_checked_at = 0.0
        self._subscriptions = 0
        self._subscribed_at = 0.0
        self._reconcile_at: float | None = None
        self._seen_alerts: dict[tuple[str, str, str], float] = {}

    def run(self, stop: threading.Event) -> None:
        """Process messages until `stop`."""
        flushed = clock.monotonic()
        while not stop.is_set():
            if message := self._subscriber.take(0.2):
                self.process(*message, clock.wall())
            if clock.monotonic() - flushed >= self._interval():
                self.flush(clock.wall())
                flushed = clock.monotonic()
        self.flush(clock.wall())

    def _interval(self) -> float:
        """Seconds between flushes: with many devices more of their changes go into one event."""
        return 1.0 + len(self.fleet.devices) / 1250

    # -- one message -------------------------------------------------------------------------------------------

    def process(self, topic: str, payload: bytes, now: float) -> None:
        """Process one message: live values, history, alerts, answers."""
        message = self.fleet.process(topic, payload, now)
        if message is None:
            return
        device = message.device
        self._touched[device.site, device.name] = device
        try:
            self._keep(message, now)
        except BadInput as error:
            device.reject(f"{message.family}/{message.entity}", error)
        except sqlite3.Error as error:
            self._not_written(error)

    def _keep(self, message: Processed, now: float) -> None:
        family, entity, body = message.family, message.entity, message.body
        late = family == "replay"
        if late:
            family, _, entity = entity.partition("/")
        if family in _CURVED:
            _CURVED[family](body)
            self._window(message.device, f"{family}/{entity}".rstrip("/"), body, now, live=not late)
        elif family == "sketch":
            end, _ = covered(body, now)
            self._history.add_sketch(
                (message.device.site, message.device.name, f"camera/{entity}"), end, body
            )
        elif family in {"status", "info"}:
            self._state(message.device, family, body, now)
        elif family == "alert":
            self._alert(message.device, body, now)
        elif family == "reply":
            self._commands.answered(entity, body)

    def _window(self, device: Device, entity: str, body: Body, now: float, *, live: bool) -> None:
        key, family = (device.site, device.name, entity), entity.partition("/")[0]
        end, seconds = covered(body, now)
        fields = fields_of(body)
        numbers = {name: value for name, value in fields.items() if isinstance(value, (int, float))}
        self._history.add_window(key, end, seconds, numbers)
        if not live:
            return
        before = self._history.latest(key)
        after = updated(before, fields, complete=take_flag(body, "complete", False))
        at = moment(body, "state_since") if family == "camera" else None
        for change in changes(family, before, after, at if at and at <= end else end):
            self._history.add_mark(key, change)
        self._history.set_latest(key, after, end)

    def _state(self, device: Device, family: str, body: Body, now: float) -> None:
        key = (device.site, device.name, "" if family == "status" else family)
        before, after = self._history.latest(key), updated({}, fields_of(body), complete=True)
        at = moment(body, "since") if family == "status" else moment(body, "time")
        for change in changes(family, before, after, min(at or now, now)):
            self._history.add_mark(key, change)
        self._history.set_latest(key, after, now)

    def _alert(self, device: Device, body: Body, now: float) -> None:
        first, changed = moment(body, "first_seen"), moment(body, "changed_at")
        key = (device.site, device.name, printable(take_text(body, "id"), ALERT_ID))
        state = name_of(body, "state")
        if state == "firing" and printable(key[2], NAME) not in device.alerts:
            return  # beyond what is kept of a device, which is counted
        self._history.set_alert(
            key, state, min(first or now, now), min(changed or now, now), alert_details(body)
        )
        if state == "firing":
            self._seen_alerts[key] = now
        else:
            self._seen_alerts.pop(key, None)
        self._alerts = True

    def _end_unseen_alerts(self, now: float) -> None:
        """After each subscription all that fires comes again (it is retained): what does not has ended meanwhile."""
        if self._subscriptions != self._subscriber.subscriptions:
            self._subscriptions = self._subscriber.subscriptions
            self._subscribed_at, self._reconcile_at = now, now + RETAINED_SECONDS
        if self._reconcile_at is None or now < self._reconcile_at:
            return
        self._reconcile_at = None
        since = self._subscribed_at - EARLY_SECONDS
        for key in self._history.firing() - {key for key, at in self._seen_alerts.items() if at >= since}:
            self._seen_alerts.pop(key, None)
            self._history.end_alert(key, now)
            device = self.fleet.devices.get(key[:2])
            if device is not None and device.alerts.pop(printable(key[2], NAME), None) is not None:
                self._touched[key[:2]] = device
            self._alerts = True

    def rates(self, key: tuple[str, str]) -> list[float]:
        """Frames a second of all cameras of a device over the last windows; any thread may ask."""
        device = self.fleet.devices.get(key)
        lines = [list(camera.rates)[-24:] for camera in list(device.cameras.values())] if device else []
        longest = max(map(len, lines), default=0)
        padded = [[0.0] * (longest - len(line)) + line for line in lines]
        return [round(sum(column), 1) for column in zip(*padded, strict=True)]

    # -- what is shown -----------------------------------------------------------------------------------------

    def flush(self, now: float) -> None:
        """Commit, roll up, prune, and publish the rows that changed."""
        self._write_history(now)
        self._check_silence(now)
        rows = {key: row_of(device, now) for key, device in self._touched.items()}
        removed = tuple(self._shown - self.fleet.devices.keys())
        self._shown = set(self.fleet.devices)
        self._stream.publish(
            {key: row for key, row in rows.items() if key in self._shown},
            self._note(), removed=removed, alerts=self._alerts,
        )  # fmt: skip
        self._touched, self._alerts = {}, False

    def _write_history(self, now: float) -> None:
        try:
            self._end_unseen_alerts(now)
            self._history.roll_up(now)
            self._history.prune(now)
            self._history.commit()
        except sqlite3.Error as error:
            self._not_written(error)
        else:
            if not self._failed:
                self._history_error = ""
        self._failed = False

    def _not_written(self, error: sqlite3.Error) -> None:
        """A disk that is full, or fails: what is live goes on, and the page says so."""
        self._history_error, self._failed = printable(error, 200), True
        self._history.roll_back()

    def _check_silence(self, now: float) -> None:
        if now - self._silence_checked_at < 10.0:
            return
        self._silence_checked_at = now
        for key, device in self.fleet.devices.items():
            if now - device.last_message_at > SILENT_SECONDS:
                self._touched[key] = device

    def _note(self) -> Mapping[str, Any]:
        """What keeps messages from being shown."""
        return {
            "connected": self._subscriber.connected,
            "refused": self._subscriber.refused,
            "dropped": self._subscriber.dropped,
            "devices_left_out": self.fleet.left_out,
            "series_left_out": self._history.left_out,
            "history_error": self._history_error,
        }


def alert_details(body: Body) -> dict[str, Cell | dict[str, Cell]]:
    """The texts and numbers of an alert that a page shows; raises BadInput for wrong types."""
    found: dict[str, Cell | dict[str, Cell]] = {
        name: printable(take_text(body, name, ""), SENTENCE)
        for name in ("what", "expected", "window", "advice", "rule", "event")
    }
    found["severity"] = name_of(body, "severity")
    found["runbook"] = printable(take_text(body, "runbook", ""), LONGEST_RUNBOOK)
    flat = fields_of(body)
    found["labels"] = {name[6:]: value for name, value in flat.items() if name.startswith("label_")}
    found["value"] = flat.get("value")
    for name in ("evidence", "controls"):
        part = body.get(name)
        found[name] = fields_of(part) if isinstance(part, dict) else {}
    return found
