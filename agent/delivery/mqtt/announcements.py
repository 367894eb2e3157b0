"""Announcements: retained messages outside the device's own topics (discovery), kept right at the broker."""

from __future__ import annotations

from collections.abc import Mapping


class Announcements:
    """`wanted` may be set from any thread; the rest belongs to the delivery thread."""

    def __init__(self) -> None:
        self.wanted: Mapping[str, bytes] = {}
        self._sent: dict[str, bytes | None] = {}  # None: what the broker holds is not known

    def forget(self) -> None:
        """A new connection: the broker may have lost everything, or never have had what was sent last."""
        self._sent = dict.fromkeys(self._sent)

    def due(self, most: int) -> dict[str, bytes]:
        """At most `most` to send now; a topic that is no longer wanted is cleared by an empty payload."""
        wanted = self.wanted
        due = {topic: payload for topic, payload in wanted.items() if self._sent.get(topic) != payload}
        due |= {topic: b"" for topic, payload in self._sent.items() if topic not in wanted and payload != b""}
        due = dict(list(due.items())[: max(0, most)])
        self._sent |= due
        return due
