"""Notices another box that publishes under this device's name, by the device's own status topic. Pure.

Laws:

1. A status that is no retained copy, is not `offline`, and carries another `machine` comes from a box that is there
   now. What we published ourselves in an earlier life carries our machine; a will is `offline`.
2. We answer such a status with our own, once in `ANSWER_SECONDS` at most; so two boxes go on hearing of one another.
   The name is taken once two different ones came within `TAKEN_SECONDS` (one may be a message that the broker kept of a
   box which has been replaced by us), and free again when they are older than that.
"""

from __future__ import annotations

import math

from agent.core.printable import printable
from agent.core.untrusted import BadInput, parse_object

ANSWER_SECONDS = 60.0
TAKEN_SECONDS = 200.0


class NameWatch:
    """Watches `topic`, the status of the device; `now` is boot time."""

    def __init__(self, topic: str, machine: str) -> None:
        self.topic, self._machine = topic, machine
        self._other, self._last = "", b""
        self._heard_at = self._heard_before = self._answered_at = -math.inf

    @property
    def wanted(self) -> bool:
        """Whether to subscribe to the topic."""
        return bool(self._machine)

    def received(self, payload: bytes, *, retained: bool, now: float) -> None:
        """A message arrived at the topic."""
        machine = "" if retained else machine_there(payload)
        if machine and machine != self._machine and payload != self._last:
            self._heard_before, self._heard_at = self._heard_at, now
            self._other, self._last = machine, payload

    def answer_due(self, now: float) -> bool:
        """Law 2; what is due counts as answered."""
        due = self._heard_at > self._answered_at and now - self._answered_at >= ANSWER_SECONDS
        if due:
            self._answered_at = now
        return due

    def taken_by(self, now: float) -> str:
        """The other machine, as it calls itself; "" where the name is ours alone."""
        return self._other if now - self._heard_before < TAKEN_SECONDS else ""


def machine_there(payload: bytes) -> str:
    """The machine that a status says is there now; "" where it says of none."""
    try:
        body = parse_object(payload)
    except BadInput:
        return ""
    machine = body.get("machine")
    there = body.get("state") in {"online", "degraded"} and isinstance(machine, str)
    return printable(machine, 40) if there else ""
