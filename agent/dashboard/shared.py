"""One MQTT 5 session that the broker keeps: what is not acknowledged waits there, and comes again.

Laws:

1. A message is acknowledged in the connection that it came with alone: after another one the broker sends it again.
2. What can wait here is bounded: the broker sends at most RECEIVE_MAXIMUM messages that are not acknowledged, none
   longer than LONGEST_PACKET, and again after each connection: where too many wait, those of earlier ones are dropped.
   Those of QoS 0 it sends without asking: what does not fit is dropped, and counted.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.config.delivery_settings import BrokerSettings
from agent.core.printable import printable
from agent.dashboard.subscriber import new_client
from agent.delivery.mqtt.address import broker_addresses

RECEIVE_MAXIMUM = 500
LONGEST_PACKET = 260 * 1024
MOST_WAITING = 4 * RECEIVE_MAXIMUM
KEEPALIVE_SECONDS = 30
SESSION_SECONDS = 3 * 86400
"""How long the broker keeps a session, and its messages, once the connection has ended."""
TAKEN_OVER_SECONDS = 30
_TAKEN_OVER = 0x8E
_BAD_VERSION = 0x84


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message, and where it is to be acknowledged."""

    topic: str
    payload: bytes
    session: SharedSession
    connection: int
    mid: int
    qos: int

    @property
    def comes_again(self) -> bool:
        """Whether the connection that it came with has ended, so that the broker sends it again."""
        return self.qos > 0 and not self.session.is_current(self.connection)


class SharedInbox:
    """What several sessions received, for one thread."""

    def __init__(self) -> None:
        self._waiting: deque[Delivery] = deque()
        self._arrived = threading.Condition()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, delivery: Delivery) -> None:
        """Add one."""
        with self._arrived:
            if len(self._waiting) >= MOST_WAITING:
                self._waiting = deque(one for one in self._waiting if not one.comes_again)
            if delivery.qos == 0 and len(self._waiting) >= MOST_WAITING:
                self.dropped += 1
                return
            self._waiting.append(delivery)
            self._arrived.notify()

    def take(self, timeout: float) -> Delivery | None:
        """The next one, waited for up to `timeout` seconds."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: bool(self._waiting), max(timeout, 0.0)):
                return None
            return self._waiting.popleft()


class SharedSession:
    """The session of `client_id`: subscribed to `filters`, or (`adopt`) only emptied, the subscriptions ended.

    `refused` is why the broker refused the connection or a subscription, else ""; `subscriptions` counts those that it
    granted; `received` counts messages; `taken_over` says that another connection took the session.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        client_id: str,
        filters: Sequence[str],
        inbox: SharedInbox,
        *,
        adopt: bool = False,
    ) -> None:
        self.client_id, self.filters = client_id, list(filters)
        self._inbox, self._adopt = inbox, adopt
        self._lock = threading.Lock()
        self._connection = 0
        self._held = 0
        self.refused = ""
        self.subscriptions = 0
        self.received = 0
        self.taken_over = False
        self.left = False
        self._address = broker_addresses(settings)[0]
        self._client = new_client(
            self._address, settings, client_id, protocol=mqtt.MQTTv5, manual_ack=True,
            reconnect_on_failure=not adopt,
        )  # fmt: skip
        self._client.reconnect_delay_set(1, 30)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_unsubscribe = self._on_unsubscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message

    def start(self) -> None:
        """Connect in the background, again and again until it works."""
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types here
        properties.SessionExpiryInterval = SESSION_SECONDS
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        properties.MaximumPacketSize = LONGEST_PACKET
        self._client.connect_async(
            self._address.host,
            self._address.port,
            KEEPALIVE_SECONDS,
            clean_start=False,
            properties=properties,
        )
        self._client.loop_start()

    @property
    def connected(self) -> bool:
        """Whether the broker is connected at the moment."""
        return bool(self._client.is_connected())

    @property
    def away(self) -> str:
        """Why the broker could not be reached the last time, "" where it could."""
        return "" if self.connected else self._client.failure

    @property
    def held(self) -> int:
        """Messages of this connection that are not acknowledged yet."""
        with self._lock:
            return self._held

    def is_current(self, connection: int) -> bool:
        """Whether it is the connection that there is now."""
        return connection == self._connection

    def acknowledge(self, delivery: Delivery) -> None:
        """Have the broker forget a message, unless the connection that it came with has ended."""
        with self._lock:
            if delivery.qos == 0 or delivery.connection != self._connection:
                return
            self._held -= 1
        self._client.ack(delivery.mid, delivery.qos)

    def leave(self) -> None:
        """End the subscriptions; what waits in the session still comes. `left` once the broker has done so."""
        self._client.unsubscribe(self.filters)

    def close(self, *, end: bool = False) -> None:
        """Disconnect; the broker keeps the session unless it is to `end`."""
        properties = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]  # paho has no types here
        if end:
            properties.SessionExpiryInterval = 0
        self._client.login.close()
        self._client.disconnect(properties=properties)
        self._client.loop_stop()

    # -- the network's thread ----------------------------------------------------------------------------------

    def _on_connect(
        self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            old = reason.value == _BAD_VERSION
            why = "it does not speak MQTT 5" if old else "check user, password and certificates"
            self.refused = f"the broker refused the connection ({printable(reason, 60)}): {why}"
            return
        with self._lock:
            self._connection += 1
            self._held = 0
        client.reconnect_delay_set(1, 30)
        if self._adopt:
            self.leave()
        else:
            client.subscribe([(one, 1) for one in self.filters])  # each time: what is retained comes again

    def _on_subscribe(self, _client: Any, _data: Any, _mid: int, reasons: Any, _properties: Any) -> None:
        refused = [
            (one, reason) for one, reason in zip(self.filters, reasons, strict=False) if reason.is_failure
        ]
        self.refused = ""
        if refused:
            topic, reason = refused[0]
            self.refused = (
                f"the broker refused the subscription to {topic} ({printable(reason, 60).lower()}): "
                "check this user's rights (ACL), and that it has shared subscriptions"
            )
        self.subscriptions += not refused

    def _on_unsubscribe(self, *_: Any) -> None:
        self.left = True

    def _on_disconnect(
        self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        with self._lock:
            self._connection += 1
        if reason.value == _TAKEN_OVER:
            self.taken_over = True
            client.reconnect_delay_set(TAKEN_OVER_SECONDS, TAKEN_OVER_SECONDS)

    def _on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        with self._lock:
            self.received += 1
            self._held += message.qos > 0
            connection = self._connection
        self._inbox.put(Delivery(topic, bytes(message.payload), self, connection, message.mid, message.qos))
