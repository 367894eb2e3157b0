"""Announcements: retained messages outside the device's own topics (discovery), kept right at the broker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class Announcements:
    """`wanted` and `complete` may be set from any thread; the rest belongs to the delivery thread.

    `complete` says whether `wanted` is all there is: until then nothing is cleared for not being in it.
    """

    def __init__(self) -> None:
        self.wanted: Mapping[str, bytes] = {}
        self.complete = False
        self._sent: dict[str, bytes | None] = {}  # None: what the broker holds is not known

    def send_again(self) -> None:
        """After a new connection, since the broker may have lost everything, and when Home Assistant starts."""
        self._sent = {topic: None for topic in self._sent if topic in self.wanted}

    def due(self, most: int, left_over: Iterable[str] = ()) -> dict[str, bytes]:
        """At most `most` to send now; what is `left_over` there, wanted no more, is cleared by an empty payload."""
        wanted = self.wanted
        due = {topic: payload for topic, payload in wanted.items() if self._sent.get(topic) != payload}
        due |= {topic: b"" for topic in left_over if topic not in wanted and self._sent.get(topic) != b""}
        due = dict(list(due.items())[: max(0, most)])
        self._sent |= due
        return due
