"""The ledger: which topics this device retains at the broker of the current connection, and which are left over.

Left over is what is recorded for this broker and no longer wanted: entities of cameras removed while the agent was off,
alerts that nobody resolves, topics under a former name or prefix. Belongs to the delivery thread.

Laws:

1. What is about to be published retained is recorded first (`record`). A disk that refuses delays no message: it is
   recorded later then.
2. Under our own name everything left over is cleared. A former name may be another device's by now: its topics are
   cleared only where the retained status under it is ours, and are left alone where it is not.
3. A record ends with the broker's acknowledgement.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable

import structlog

from agent.core.errors import DeliveryError
from agent.core.printable import printable
from agent.core.untrusted import BadInput, parse_object, take_text
from agent.delivery.messages import is_topic
from agent.delivery.outbox.queue import Outbox
from agent.delivery.outbox.retained import RetainedTopic

log = structlog.get_logger("vedette.delivery")

DISCOVERY = "discovery"
CHECK_SECONDS = 15.0  # how long the retained status of a former name may take to arrive


class RetainedLedger:
    """The records of `outbox` about one broker at a time; `prefix` is the device's part of the topics now."""

    def __init__(self, outbox: Outbox, prefix: str) -> None:
        self._outbox, self._prefix = outbox, prefix
        self._broker = ""
        self._known: dict[str, RetainedTopic] = {}
        self._unsaved: dict[str, RetainedTopic] = {}
        self._cleared: set[str] = set()
        self._live: set[str] = set()
        self._checked: dict[str, str] = {}
        self._check_until = 0.0
        self._warned: set[str] = set()

    def move_to(self, outbox: Outbox) -> None:
        """Use another outbox from now on; what the former may not have handed on is recorded again."""
        self._outbox = outbox
        self._unsaved |= self._known

    def warn_of_former(self, brokers: Collection[str]) -> None:
        """Log what brokers other than these retain: a person clears it, since their logins are not in the config."""
        for broker, topics in Counter(one.broker for one in self._records()).items():
            if broker not in brokers:
                log.warning(
                    "a broker that is no longer in the config retains messages of this device",
                    broker=broker,
                    topics=topics,
                    mend=f"vedette retire --broker {broker}",
                )

    def begin(self, broker: str) -> None:
        """A connection to `broker` (`BrokerAddress.server`) is about to be opened."""
        self.settle()
        if broker != self._broker:
            self._unsaved.clear()
        self._broker = broker
        self._cleared.clear()
        self._live.clear()
        records = self._records()
        self._known = {one.topic: one for one in records if one.broker == broker} | self._unsaved
        self._checked = {
            f"{one.prefix}/status": one.prefix for one in self._known.values() if one.prefix != self._prefix
        }

    def record(self, topics: Iterable[str]) -> None:
        """Record whole topics that are about to be published retained."""
        for topic in filter(is_topic, topics):
            self._cleared.discard(topic)
            self._live.add(topic)
            known = self._known.get(topic)
            if known is None or known.prefix != self._prefix:
                self._known[topic] = self._unsaved[topic] = self._record(topic)
        self._save()

    def _record(self, topic: str) -> RetainedTopic:
        own = topic.startswith(f"{self._prefix}/")
        kind = topic[len(self._prefix) + 1 :].partition("/")[0] if own else DISCOVERY
        return RetainedTopic(self._broker, topic, self._prefix, kind)

    def left_over(self, wanted: Collection[str], *, discovery: bool) -> list[str]:
        """Topics under our own name that are not `wanted`; without those of discovery where `discovery` is False."""
        return [
            one.topic
            for one in self._known.values()
            if one.prefix == self._prefix and one.topic not in wanted and (discovery or one.kind != DISCOVERY)
        ]

    def to_check(self, now: float) -> list[str]:
        """The status topics of former names, to be read before anything under these is cleared."""
        self._check_until = now + CHECK_SECONDS
        return list(self._checked)

    def unanswered(self, now: float) -> None:
        """Log, once for each, the former names whose status did not arrive in time."""
        if not self._checked or now < self._check_until:
            return
        for prefix in set(self._checked.values()) - self._warned:
            self._warned.add(prefix)
            log.warning(
                "messages retained under a former name are left alone: its status is missing or may not "
                "be read",
                prefix=prefix,
                topics=[one.prefix for one in self._known.values()].count(prefix),
                mend="vedette devices remove",
            )
        self._checked.clear()

    def checked(self, topic: str, payload: bytes) -> list[str] | None:
        """A retained message arrived: what is to be cleared for it; None where it was not asked for."""
        prefix = self._checked.pop(topic, None)
        if prefix is None:
            return None
        topics = [one.topic for one in self._known.values() if one.prefix == prefix]
        if _epoch(payload) == self._outbox.epoch:
            log.info("clearing messages retained under a former name", prefix=prefix, topics=len(topics))
            return topics
        log.warning(
            "a former name belongs to another device now: its retained messages are left alone",
            prefix=prefix,
            topics=len(topics),
        )
        self.cleared(topics)
        return []

    def clearing(self, topic: str) -> None:
        """An empty message is about to clear `topic`."""
        self._live.discard(topic)

    def cleared(self, topics: Iterable[str]) -> None:
        """The broker acknowledged that these are cleared; what was published anew meanwhile is not."""
        self._cleared.update(set(topics) - self._live)

    def settle(self) -> None:
        """Write what changed; later again where the disk refuses."""
        self._save()
        if not self._cleared:
            return
        if _done(lambda: self._outbox.retained.remove(self._broker, self._cleared)):
            for topic in self._cleared:
                self._known.pop(topic, None)
            self._cleared.clear()

    def _save(self) -> None:
        if self._unsaved and _done(lambda: self._outbox.retained.record(self._unsaved.values())):
            self._unsaved.clear()

    def _records(self) -> list[RetainedTopic]:
        try:
            return self._outbox.retained.topics()
        except DeliveryError as error:
            log.warning("the list of retained messages cannot be read from the outbox", reason=str(error))
            return []


def _done(step: Callable[[], None]) -> bool:
    """Whether the disk did it; delivery goes on in any case."""
    try:
        step()
    except DeliveryError as error:
        log.debug("retained messages could not be recorded", reason=str(error))
        return False
    return True


def _epoch(payload: bytes) -> str:
    """The epoch of the outbox that a message came from; "" where it is no message of an agent."""
    try:
        return printable(take_text(parse_object(payload), "boot", longest=80), 80).rpartition("-")[2]
    except BadInput:
        return ""
