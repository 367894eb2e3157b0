"""Chooses weaker connect options (QoS, retain, will) for a broker that refuses the preferred ones. Pure.

Steps: without retain, QoS 0, no will. MQTT 5 brokers name what they lack (CONNACK 0x9A, 0x9B); others hang up: then it
is guessed, and QoS 1 is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from agent.delivery.mqtt.events import Opened
from agent.delivery.mqtt.failures import ConnectionFailure


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """What we ask of a broker: of messages, QoS 1 and retain; of its login, a will."""

    retain: bool = True
    qos: int = 1
    will: bool = True

    @property
    def lost(self) -> str:
        """What the operator loses by what is not asked; "" where nothing is."""
        lost = []
        if not self.retain:
            lost.append("it retains nothing: a new subscriber waits for the next message")
        if self.qos < 1:
            lost.append("it has no QoS 1: messages that the broker loses are not sent again")
        if not self.will:
            lost.append("it allows no will: the broker does not report that this device has disconnected")
        return "; ".join(lost)


ALL = Demands()

SMALL_PACKET = 32 * 1024
"""Bytes: sketches of a camera have 6 to 20 kB."""


def lost_at(opened: Opened, demands: Demands) -> str:
    """What is lost at a broker by what is not asked of it, and by what it has announced; "" where nothing is."""
    asked = replace(demands, retain=opened.retain_available, qos=min(opened.maximum_qos, 1))
    lost = [asked.lost] if asked.lost else []
    if opened.maximum_packet is not None and opened.maximum_packet < SMALL_PACKET:
        lost.append(f"it takes packets of {opened.maximum_packet} bytes, what is larger is lost")
    return "; ".join(lost)


def ask_less(demands: Demands, failure: ConnectionFailure) -> Demands | None:
    """What to try next after `failure`; None where asking less does not help.

    >>> ask_less(ALL, ConnectionFailure.NO_RETAIN)
    Demands(retain=False, qos=1, will=True)
    """
    if failure is ConnectionFailure.NO_RETAIN and demands.retain:
        return Demands(retain=False, qos=demands.qos, will=demands.will)
    if failure is ConnectionFailure.NO_QOS and demands.qos:
        return Demands(retain=demands.retain, qos=0, will=demands.will)
    lacking = failure in {ConnectionFailure.NO_RETAIN, ConnectionFailure.NO_QOS}
    return Demands(retain=demands.retain, qos=demands.qos, will=False) if lacking and demands.will else None


def after_silence(demands: Demands) -> Demands:
    """The next step where the broker hung up without a reason; after the last the first again.

    A guess: what hung up may be a proxy in front of a broker that is down. So it gives up what is retained and the
    will, but never QoS 1, by which nothing that is accepted is lost.

    >>> after_silence(ALL), after_silence(after_silence(after_silence(ALL))) == ALL
    (Demands(retain=False, qos=1, will=True), True)
    """
    if demands.retain and demands.will:
        return replace(demands, retain=False)
    return replace(demands, will=False) if demands.will else replace(demands, retain=True, will=True)
