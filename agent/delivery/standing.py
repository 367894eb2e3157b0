"""Retained drafts other than alerts: published again on every connect, and cleared when they no longer hold.

Used by the delivery thread alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from agent.core.types import Draft
from agent.delivery.messages import of_camera
from agent.delivery.mqtt.announcements import Announcements
from agent.delivery.mqtt.ledger import RetainedLedger

_ALWAYS = ("status", "info", "accuracy")


class Standing:
    """Retained drafts by topic, and the topics below `prefix` that the broker retains though nobody wants them."""

    def __init__(self, ledger: RetainedLedger, prefix: str) -> None:
        self._ledger, self._prefix = ledger, prefix
        self._drafts: dict[str, Draft] = {}
        self._left_over: list[str] = []
        self._found_for: object = None

    def __iter__(self) -> Iterator[Draft]:
        return iter(self._drafts.values())

    def get(self, topic: str) -> Draft | None:
        """The draft that stands under `topic`."""
        return self._drafts.get(topic)

    def take(self, draft: Draft) -> bool:
        """Keep a retained draft; False for what is not to be sent: it is about a camera that was removed meanwhile."""
        if of_camera(draft.topic) and not self._is_of_a_camera(draft.topic):
            return False
        if draft.retain:
            self._drafts[draft.topic] = draft
        if draft.topic == "info":
            self._follow_cameras()
        return True

    def look_again(self) -> None:
        """Another broker may retain other things."""
        self._found_for = None

    def left_over(self, announcements: Announcements, alerts: Callable[[], Iterable[str]]) -> list[str]:
        """Whole topics that this broker retains and that are to be cleared; `alerts` gives topics that stand.

        Looked for where what is announced has changed, or the cameras have.
        """
        wanted = announcements.wanted
        if wanted is self._found_for:
            return self._left_over
        ours = {f"{self._prefix}/{topic}" for topic in (*alerts(), *_ALWAYS, *self._drafts)}
        others = self._ledger.left_over({*wanted, *ours}, discovery=announcements.complete)
        below = len(self._prefix) + 1
        self._left_over = [topic for topic in others if not self._is_of_a_camera(topic[below:])]
        self._found_for = wanted
        return self._left_over

    def _follow_cameras(self) -> None:
        """What is said of cameras that there are no more stands no longer, and is cleared."""
        for topic in [*self._drafts]:
            if of_camera(topic) and not self._is_of_a_camera(topic):
                del self._drafts[topic]
        self.look_again()

    def _is_of_a_camera(self, topic: str) -> bool:
        """Whether a topic, without prefix, says something of a camera that there is, as far as is known."""
        camera, info = of_camera(topic), self._drafts.get("info")
        return bool(camera) and (info is None or camera in str(info.body.get("cameras", "")).split(","))
