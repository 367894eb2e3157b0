"""Presence: the device's own status at the broker, from online to offline, and its last will.

Used by the delivery thread alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from agent import __version__
from agent.core.types import Draft, Message
from agent.delivery.clock import Clock
from agent.delivery.identity import Identity
from agent.delivery.messages import CONNECTION_LOST, Stamp, encode, status_draft
from agent.delivery.standing import Standing

HEARTBEAT_SECONDS = 60.0
"""Between two statuses, where the broker retains nothing."""


class Presence:
    """Makes the messages of the topic `status`; `stamp` gives the next stamp of a family."""

    def __init__(
        self, identity: Identity, clock: Clock, standing: Standing, stamp: Callable[[str], Stamp]
    ) -> None:
        self._identity, self._clock, self._standing, self._stamp = identity, clock, standing, stamp
        self._repeat_at = 0.0

    def encode(self, draft: Draft) -> Message:
        """The message of a draft that does not go through the outbox; a status also names the machine."""
        if draft.family == "status" and self._identity.machine:
            draft = replace(draft, body={**draft.body, "machine": self._identity.machine})
        return encode(draft, self._stamp(draft.family))

    def status(self, since: float) -> Draft:
        """The status that stands; before there is one, that the device is online `since` then (Unix time)."""
        return self._standing.get("status") or status_draft("online", since=since, version=__version__)

    def offline(self, reason: str) -> Draft:
        """The status that the device has gone."""
        return status_draft("offline", since=self._clock.wall(), version=__version__, reason=reason)

    def will(self) -> Message:
        """What the broker publishes where the connection ends without a word."""
        return self.encode(self.offline(CONNECTION_LOST))

    def said(self, now: float) -> None:
        """The status was sent at `now`."""
        self._repeat_at = now + HEARTBEAT_SECONDS

    def repeat_due(self, now: float) -> bool:
        """Whether it is time to send the status again, where nothing is retained."""
        return now >= self._repeat_at
