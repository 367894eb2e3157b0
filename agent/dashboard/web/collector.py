"""A dashboard's collector: from messages to the live fleet, the stream of changes and, where it has one, the store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from agent.core import clock
from agent.core.printable import printable
from agent.core.untrusted import BadInput
from agent.dashboard.fleet import SILENT_SECONDS, Fleet, FleetDevice, Processed
from agent.dashboard.readings import NAME
from agent.dashboard.subscriber import Subscriber
from agent.dashboard.web.commands import Commands
from agent.dashboard.web.recorder import AlertsSeen, MessageRecorder, alert_change
from agent.dashboard.web.rows import row_of
from agent.dashboard.web.store import Store, StoreError
from agent.dashboard.web.stream import RowStream

MOST_DEVICES = 10_000
AWAY = "broker {}; trying again. Is it running, and the address right?"
_SAYINGS = (
    ("broker_away", AWAY),
    ("refused", "the broker refuses: {}"),
    (
        "history_error",
        "the history cannot be written: {}; what is live goes on. Mend that, and it goes on by itself",
    ),
)


class Collector:
    """Owns the fleet, and `store` where it writes one; `run` is its thread, `process` and `flush` are its steps.

    `failing` says what fails where another writes the store; `say` gets a line for each change of how it is.
    """

    def __init__(
        self,
        subscriber: Subscriber,
        store: Store | None,
        stream: RowStream,
        commands: Commands,
        prefix: str,
        *,
        failing: Callable[[], str] = str,
        say: Callable[[str], object] = str,
        last_heard: Callable[[str, str], float | None] = lambda _site, _name: None,
    ) -> None:
        self._subscriber, self._store, self._stream, self._commands = subscriber, store, stream, commands
        self._failing, self._say = failing, say
        self._said: list[str] = []
        self._recorder = MessageRecorder(store) if store else None
        self.fleet = Fleet(prefix, most_devices=MOST_DEVICES, last_heard=last_heard)
        self._touched: dict[tuple[str, str], FleetDevice] = {}
        self._alerts = False
        self._history_error, self._failed = "", False
        self._shown: set[tuple[str, str]] = set()
        self._silence_checked_at = 0.0
        self._seen = AlertsSeen()

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
            if not payload:
                self._cleared(topic, now)
            return
        device = message.device
        self._touched[device.site, device.name] = device
        try:
            self._take(message, now)
        except BadInput as error:
            device.reject(f"{message.family}/{message.entity}", error)
        except StoreError as error:
            self._not_written(error)

    def _take(self, message: Processed, now: float) -> None:
        if message.family == "reply":
            self._commands.answered(message.entity, message.body)
        elif message.family == "alert" and (change := alert_change(message.device, message.body)):
            self._seen.see(*change, now)
            self._alerts = True
        if self._recorder is None:
            return
        self._recorder.record(message, now)
        if message.family == "status":
            self._alerts = True
            if (key := self._recorder.offline(message.device)) is not None:
                self._seen.see(key, "firing", now)

    def _cleared(self, topic: str, now: float) -> None:
        """Something that was retained was removed at the broker."""
        place = self.fleet.place_of(topic)
        if place is None:
            return
        if (device := self.fleet.devices.get(place[:2])) is not None:
            self._touched[place[:2]] = device
        self._alerts = self._alerts or place[2] in {"alert", "status"}
        ended = self._recorder.cleared(place) if self._recorder is not None else None
        if ended is not None and self._store is not None:
            try:
                self._store.end_alerts([ended], now)
            except StoreError as error:
                self._not_written(error)

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
            if self._seen.due(self._subscriber.subscriptions, now):
                self._end_unseen_alerts(now)
            if self._store is not None:
                self._store.roll_up(now)
                self._store.prune(now)
                self._store.commit(now)
        except StoreError as error:
            self._not_written(error)
        else:
            if not self._failed:
                self._history_error = ""
        self._failed = False

    def _end_unseen_alerts(self, now: float) -> None:
        unseen = self._seen.unseen(self._store.firing() if self._store else ())
        for site, name, number in unseen:
            device = self.fleet.devices.get((site, name))
            if device is not None and self.fleet.end_alert(device, printable(number, NAME)):
                self._touched[site, name] = device
        self._alerts = self._alerts or bool(unseen)
        if self._store is not None:
            self._store.end_alerts(unseen, now)

    def _not_written(self, error: StoreError) -> None:
        """A disk that is full, or fails: what is live goes on, and the page says so."""
        self._history_error, self._failed = printable(error, 200), True
        if self._store is not None:
            self._store.roll_back()

    def _check_silence(self, now: float) -> None:
        if now - self._silence_checked_at < 10.0:
            return
        self._silence_checked_at = now
        for key, device in self.fleet.devices.items():
            if now - device.last_message_at > SILENT_SECONDS:
                self._touched[key] = device

    def _note(self) -> Mapping[str, Any]:
        """What keeps messages from being shown, each change of it said."""
        note = self._problems()
        said = [text for name, text in _SAYINGS if note[name] for text in [text.format(note[name])]]
        for text in said:
            if text not in self._said:
                self._say(text)
        if self._said and not said:
            self._say("works again")
        self._said = said
        return note

    def _problems(self) -> Mapping[str, Any]:
        return {
            "connected": self._subscriber.connected,
            "broker_away": self._subscriber.away,
            "refused": self._subscriber.refused,
            "dropped": self._subscriber.dropped,
            "devices_left_out": self.fleet.left_out,
            "series_left_out": self._store.left_out if self._store else 0,
            "history_error": self._history_error or self._failing(),
        }
