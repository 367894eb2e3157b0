"""Subscribes to a prefix of a broker; messages wait in a bounded queue."""

from __future__ import annotations

import queue
import threading
import uuid
from collections import deque
from types import TracebackType
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.config.delivery_settings import BrokerSettings
from agent.core.errors import VedetteError
from agent.core.printable import printable
from agent.dashboard.fleet import Fleet
from agent.dashboard.login import Login, LoginError
from agent.delivery.mqtt.address import BrokerAddress, broker_addresses
from agent.delivery.mqtt.broker_client import DialingClient
from agent.delivery.mqtt.tls import tls_context

MOST_WAITING_BYTES = 32 * 1024 * 1024
LONGEST_PAYLOAD = 256 * 1024
"""Longer payloads are dropped: an agent sends 64 kB at most."""

UNSPECIFIED = "unspecified error"  # the only reason that MQTT 3.1.1 knows


class Subscriber:
    """Subscriber of `<prefix>/#`: messages wait in a queue of 32 MB; `dropped` counts those that did not fit.

    `refused` is the broker's reason where, on a later connection, it refused the subscription; "" where it did not.
    `subscriptions` counts those that it granted: after each, what is retained comes again.
    """

    def __init__(self, settings: BrokerSettings) -> None:
        self._address = broker_addresses(settings)[0]
        self._topic = f"{settings.topic_prefix.strip('/')}/#"
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._arrived = threading.Condition()
        self._bytes = 0
        self.dropped = 0
        self.refused = ""
        self.subscriptions = 0
        self._answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        # 3.1.1 is what every broker speaks, the embedded demo broker included
        self._client = new_client(self._address, settings, f"vedette-watch-{uuid.uuid4().hex[:8]}")
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message

    def open(self, timeout: float = 10.0) -> None:
        """Connect and subscribe; raises VedetteError with the reason where that fails."""
        where = f"broker {self._address.shown}"
        try:
            self._client.connect(self._address.host, self._address.port, keepalive=30)
        except LoginError as error:
            raise VedetteError(f"{where}: {error}") from None
        except (OSError, ValueError) as error:
            raise VedetteError(f"{where}: {error}; is it running, and the address right?") from None
        self._client.loop_start()
        try:
            refusal = self._answers.get(timeout=timeout)
        except queue.Empty:
            self.close()
            raise VedetteError(f"{where}: connected, but no answer within {timeout:.0f} s") from None
        if refusal:
            self.close()
            raise VedetteError(f"{where}: {refusal}")

    def start(self) -> None:
        """Connect in the background, again and again until it works; `connected` and `refused` show how it is."""
        self._client.connect_async(self._address.host, self._address.port, keepalive=30)
        self._client.loop_start()

    @property
    def connected(self) -> bool:
        """Whether the broker is connected at the moment."""
        return bool(self._client.is_connected())

    @property
    def away(self) -> str:
        """Why the broker could not be reached the last time, "" where it could."""
        return (
            ""
            if self.connected or not self._client.failure
            else f"{self._address.shown}: {self._client.failure}"
        )

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish one message with QoS 1, not retained; raises VedetteError where there is no connection."""
        if not self.connected:
            raise VedetteError(f"broker {self._address.shown}: not connected")
        self._client.publish(topic, payload, qos=1)

    def close(self) -> None:
        """Disconnect; may be called twice."""
        self._client.login.close()
        self._client.disconnect()
        self._client.loop_stop()

    def take(self, timeout: float = 0.0) -> tuple[str, bytes] | None:
        """The next message as (topic, payload), waited for up to `timeout` seconds; None where there is none."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: bool(self._waiting), timeout):
                return None
            topic, payload = self._waiting.popleft()
            self._bytes -= len(topic) + len(payload)
            return topic, payload

    def feed(self, fleet: Fleet, now: float) -> None:
        """Have `fleet` process all messages that have arrived so far."""
        for _ in range(len(self._waiting)):  # no more: a flood must not keep the screen from being drawn
            if (message := self.take()) is not None:
                fleet.process(*message, now)

    def __enter__(self) -> Subscriber:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _on_connect(
        self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            self.refused = f"refused: {reason}; check user, password and certificates"
            self._answers.put(self.refused)
        else:
            client.subscribe(self._topic, qos=1)  # on every connect: a session is not kept

    def _on_subscribe(
        self, _client: mqtt.Client, _data: Any, _mid: int, reasons: Any, _properties: Any
    ) -> None:
        refused = next((str(reason).lower() for reason in reasons if reason.is_failure), "")
        if refused:
            why = "" if refused == UNSPECIFIED else f" ({refused})"
            refused = f"may not subscribe to {self._topic}{why}: check this user's rights at the broker (ACL)"
        self.refused = refused
        self.subscriptions += not refused
        self._answers.put(self.refused or None)

    def _on_disconnect(self, *_: Any) -> None:  # with TLS 1.3 this is how a certificate is refused
        self._answers.put("connection closed by the broker; check user, password and certificates")

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            topic, payload = message.topic, bytes(message.payload)
        except UnicodeDecodeError:
            topic, payload = "", b""
        size = len(topic) + len(payload)
        with self._arrived:
            if not topic or len(payload) > LONGEST_PAYLOAD or self._bytes + size > MOST_WAITING_BYTES:
                self.dropped += 1
                return
            self._waiting.append((topic, payload))
            self._bytes += size
            self._arrived.notify()


class Client(DialingClient):
    """paho's client with its `login`, which remembers why it could not connect the last time: `failure`, else ""."""

    login: Login
    failure = ""

    def connect_async(  # noqa: PLR0917  (the library's signature)
        self,
        host: str,
        port: int = 1883,
        keepalive: int = 60,
        bind_address: str = "",
        bind_port: int = 0,
        clean_start: Any = mqtt.MQTT_CLEAN_START_FIRST_ONLY,
        properties: Properties | None = None,
    ) -> None:
        """As paho's, which `connect` calls, too; the login may change the properties before each connection."""
        if properties is None and self.protocol == mqtt.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it untyped
        self.login.properties = properties
        super().connect_async(host, port, keepalive, bind_address, bind_port, clean_start, properties)

    def reconnect(self) -> MQTTErrorCode:
        """Connect once; raises OSError."""
        try:
            result = super().reconnect()
        except OSError as error:
            self.failure = printable(error.strerror or error, 200)
            raise
        self.failure = ""
        return result


def new_client(address: BrokerAddress, settings: BrokerSettings, client_id: str, **options: Any) -> Client:
    """A client that logs in as `settings` say, with files and tokens read anew for each connection."""
    if settings.auth_method:
        options["protocol"] = mqtt.MQTTv5
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        transport="websockets" if address.web_path else "tcp",
        **options,
    )
    if address.web_path:
        client.ws_set_options(path=address.web_path)
    context = tls_context(settings) if address.tls else None
    if context is not None:
        client.tls_set_context(context)
    client.login = Login(client, settings, address, context)
    client.on_pre_connect = lambda *_: client.login.read()
    return client
