"""From messages to the history: what of each is kept as windows, sketches, last known values and alerts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agent.alerts.words import duration
from agent.core.printable import printable
from agent.core.untrusted import take_flag, take_text
from agent.dashboard.fleet import FleetDevice, Processed
from agent.dashboard.readings import NAME, Body, moment, name_of, read_camera, read_gpu, read_host
from agent.dashboard.web.fields import Update, covered, fields_of
from agent.dashboard.web.rows import Cell
from agent.dashboard.web.store import Key, Store

ALERT_ID = 200
LONGEST_RUNBOOK = 100
LONGEST_TEXT = 2000
"""Of an alert's sentences: an agent's longest, the words of a verdict, has about 1,000 characters."""
RETAINED_SECONDS = 30.0
"""After a subscription, all that is retained has arrived by then."""
OFFLINE = "device_offline"
"""Rule and runbook of the alert that the dashboard makes itself; when the device went offline completes its id."""
MOST_OFFLINE = 10_000
EARLY_SECONDS = 10.0
"""What came so long before the subscription was noticed may belong to it."""
_STANDING = frozenset({"advice", "accuracy"})
_CURVED = {"host": read_host, "gpu": read_gpu, "camera": read_camera}
"""The families with curves; what cannot be shown live (a wrong type) is kept out of the history too."""


class MessageRecorder:
    """Adds messages to a store, of one thread; raises StoreError."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._away: dict[tuple[str, str], tuple[Key, float]] = {}

    def record(self, message: Processed, now: float) -> None:
        """Add what of a message the history keeps; raises BadInput where it cannot be read."""
        family, entity, body = message.family, message.entity, message.body
        late = family == "replay"
        if late:
            family, _, entity = entity.partition("/")
        if family in _CURVED:
            _CURVED[family](body)
            self._window(message.device, f"{family}/{entity}".rstrip("/"), body, now, live=not late)
        elif family == "sketch":
            end, _ = covered(body, now)
            self.store.add_sketch((message.device.site, message.device.name, f"camera/{entity}"), end, body)
        elif family in {"status", "info"}:
            self._state(message.device, family, body, now)
            if family == "status":
                self._connection(message.device, body, now)
        elif family == "alert":
            self._alert(message.device, body, now)
        elif family in _STANDING:
            self._standing(message.device, f"{family}/{entity}".rstrip("/"), body, now)

    def _window(self, device: FleetDevice, entity: str, body: Body, now: float, *, live: bool) -> None:
        key, family = (device.site, device.name, entity), entity.partition("/")[0]
        end, seconds = covered(body, now)
        fields = fields_of(body)
        numbers = {name: value for name, value in fields.items() if isinstance(value, (int, float))}
        self.store.add_window(key, end, seconds, numbers)
        if not live:
            return
        at = moment(body, "state_since") if family == "camera" else None
        complete = take_flag(body, "complete", False)
        self.store.update(
            key,
            Update(
                family=family, at=end, fields=fields, complete=complete,
                changed_at=at if at and at <= end else end,
            ),
        )  # fmt: skip

    def cleared(self, place: tuple[str, str, str, str]) -> Key | None:
        """The alert that is over since a retained message was removed: its own, or its device's status."""
        site, name, family, entity = place
        if family == "alert":
            return (site, name, printable(entity, ALERT_ID))
        away = self._away.pop((site, name), None) if family == "status" else None
        return away[0] if away else None

    def offline(self, device: FleetDevice) -> Key | None:
        """The alert that a device is offline, while it is."""
        found = self._away.get((device.site, device.name))
        return found[0] if found else None

    def _connection(self, device: FleetDevice, body: Body, now: float) -> None:
        """A device that is offline is an alert of the dashboard's own: the device itself can publish none.

        Its id is made of what the device published, so that each collector, and each start, makes the same.
        """
        place, away = (device.site, device.name), self._away.get((device.site, device.name))
        since = min((device.status and device.status.since) or now, now)
        if device.state != "offline" and away is not None:
            del self._away[place]
            (key, first), over = away, max(since, away[1])
            self.store.set_alert(key, "resolved", first, over, _offline_details(device, over - first))
        elif device.state == "offline" and away is None and len(self._away) < MOST_OFFLINE:
            key = (*place, f"{OFFLINE}-{int(moment(body, 'since') or 0)}")
            self._away[place] = (key, since)
            self.store.set_alert(key, "firing", since, since, _offline_details(device))

    def _state(self, device: FleetDevice, family: str, body: Body, now: float) -> None:
        at = moment(body, "time") if family == "info" else device.status and device.status.since
        self.store.update(
            (device.site, device.name, "" if family == "status" else family),
            Update(
                family=family, at=now, fields=fields_of(body), complete=True, changed_at=min(at or now, now)
            ),
        )

    def _standing(self, device: FleetDevice, entity: str, body: Body, now: float) -> None:
        """What is retained of a camera: it replaces what was there, and is on no curve."""
        update = Update(
            family=entity.partition("/")[0],
            at=now,
            fields=fields_of(body, LONGEST_TEXT),
            complete=True,
            changed_at=now,
        )
        self.store.update((device.site, device.name, entity), update)

    def _alert(self, device: FleetDevice, body: Body, now: float) -> None:
        change = alert_change(device, body)
        if change is None:
            return
        first, changed = moment(body, "first_seen"), moment(body, "changed_at")
        details = alert_details(body)
        self.store.set_alert(*change, min(first or now, now), min(changed or now, now), details)


class AlertsSeen:
    """When each firing alert was last published: after a subscription all of them come again (they are retained).

    What does not come has ended meanwhile.
    """

    def __init__(self) -> None:
        self._at: dict[Key, float] = {}
        self._subscriptions = 0
        self._subscribed_at = 0.0
        self._due_at: float | None = None

    def see(self, key: Key, state: str, now: float) -> None:
        """Take in that an alert was published."""
        if state == "firing":
            self._at[key] = now
        else:
            self._at.pop(key, None)

    def due(self, subscriptions: int, now: float) -> bool:
        """Whether, since the last of so many subscriptions, all that fires must have come; once for each."""
        if self._subscriptions != subscriptions:
            self._subscriptions = subscriptions
            self._subscribed_at, self._due_at = now, now + RETAINED_SECONDS
        if self._due_at is None or now < self._due_at:
            return False
        self._due_at = None
        return True

    def unseen(self, firing: Iterable[Key]) -> set[Key]:
        """Those of `firing`, and of what was published, that did not come since the last subscription."""
        since = self._subscribed_at - EARLY_SECONDS
        found = {key for key in {*firing, *self._at} if self._at.get(key, since - 1.0) < since}
        for key in found:
            self._at.pop(key, None)
        return found


def alert_change(device: FleetDevice, body: Body) -> tuple[Key, str] | None:
    """Site, device and id of an alert, and its state; None beyond what is kept of a device, which is counted there.

    Raises BadInput.
    """
    key, state = (
        (device.site, device.name, printable(take_text(body, "id"), ALERT_ID)),
        name_of(body, "state"),
    )
    return None if state == "firing" and printable(key[2], NAME) not in device.alerts else (key, state)


def _offline_details(device: FleetDevice, lasted: float | None = None) -> dict[str, Cell | dict[str, Cell]]:
    """What the alert about a device that is offline, or that was for `lasted` seconds, shows."""
    status = device.status
    reason = f": {status.reason}" if status and status.reason else ""
    return {
        "what": f"the device is offline{reason}"
        if lasted is None
        else f"the device was offline for {duration(max(lasted, 0.0))}; it is back",
        "expected": "a connection to the broker",
        "window": "",
        "advice": "Check power, network and the agent's journal on the device; its messages wait there.",
        "rule": OFFLINE,
        "event": "fired" if lasted is None else "resolved",
        "severity": "critical",
        "runbook": f"docs/runbooks/{OFFLINE}.md",
        "labels": {},
        "value": lasted,
        "evidence": {},
        "controls": {},
    }


def alert_details(body: Body) -> dict[str, Cell | dict[str, Cell]]:
    """The texts and numbers of an alert that a page shows; raises BadInput for wrong types."""
    found: dict[str, Cell | dict[str, Cell]] = {
        name: printable(take_text(body, name, ""), LONGEST_TEXT)
        for name in ("what", "expected", "window", "advice", "rule", "event")
    }
    found["severity"] = name_of(body, "severity")
    found["runbook"] = printable(take_text(body, "runbook", ""), LONGEST_RUNBOOK)
    flat = fields_of(body)
    found["labels"] = {name[6:]: value for name, value in flat.items() if name.startswith("label_")}
    found["value"] = flat.get("value")
    for name in ("evidence", "controls"):
        part = body.get(name)
        found[name] = _flat(part) if isinstance(part, dict) else {}
    return found


def _flat(part: Body) -> dict[str, Cell]:
    """An object's numbers and texts; of objects in it each part by both names (`acknowledged.who`), of lists the items.

    >>> _flat({"acknowledged": {"who": "ada"}, "hours": [8, 9]})
    {'acknowledged.who': 'ada', 'hours': '8, 9'}
    """
    flat: dict[str, Any] = {}
    for name, value in part.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{key}": item for key, item in value.items()}
        else:
            flat[name] = value
    listed = {
        name: ", ".join(map(str, value[:20])) if isinstance(value, list) else value
        for name, value in flat.items()
    }
    return fields_of(listed)
