"""One connection to one broker: a paho client used once, and driven by the thread that owns it.

paho is only a window here, the outbox is the queue. So a connection that ended is thrown away with all that paho
remembers: it would send its own queue again in a burst on reconnecting. Only the blocking part (name
resolution, TCP, TLS and WebSocket handshakes) runs in a thread of its own; then `drive` does all reading and
writing, and callbacks do no more than append to `events`.
"""

from __future__ import annotations

import select
import struct
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt import MQTTException
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent.config.delivery_settings import BrokerSettings
from agent.core.errors import ConfigError, PermanentDelivery
from agent.core.printable import printable
from agent.core.secret import Secret, excerpt
from agent.delivery.mqtt.address import BrokerAddress
from agent.delivery.mqtt.aliases import TopicAliases
from agent.delivery.mqtt.broker_client import LARGEST_PACKET, BrokerClient
from agent.delivery.mqtt.certificate_dates import Validity, expired_certificate, validity_of
from agent.delivery.mqtt.events import Acked, Closed, Event, Opened, Received, Subscribed
from agent.delivery.mqtt.failures import ConnectionFailure, why_ended, why_not
from agent.delivery.mqtt.fallback import ALL, Demands
from agent.delivery.mqtt.login import Credentials, log_in, read_credentials, reading_seconds
from agent.delivery.mqtt.tls import tls_context

READS_AT_ONCE = 1000  # then something else may have its turn
BYTES_AT_ONCE = 4 * 1024 * 1024
"""Of messages for us, until the owner takes them: what waits in the line costs the sender's memory, not ours."""

LONGEST_REASON = 400
_PROTOCOL_ERROR = 0x82  # by which paho names what it could not read
_BROKEN = (OSError, ValueError, IndexError, KeyError, TypeError, struct.error, MQTTException)


class ProtocolVersion(str, Enum):
    """The MQTT versions spoken here."""

    V5 = "5"
    V311 = "3.1.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Will:
    """What the broker publishes for us when the connection breaks; QoS and retain are by `Demands`."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOptions:
    """How to connect."""

    client_id: str
    broker: BrokerSettings  # whose login and TLS files are read for this connection
    version: ProtocolVersion = ProtocolVersion.V5
    session_expiry: float = 3600.0
    timeout: float = 10.0
    will: Will | None = None
    demands: Demands = ALL


class Connection:
    """One try. `start` once; then `drive` until `events` yields `Closed`.

    The login is read when it starts, unless `credentials` are given.
    """

    def __init__(
        self,
        address: BrokerAddress,
        options: ConnectionOptions,
        wake: Callable[[], None],
        started: float,
        credentials: Credentials | None = None,
    ) -> None:
        self.address, self.options, self.started = address, options, started
        self.events: deque[Event] = deque()
        self.opened: Opened | None = None
        self.closed = False
        self._wake = wake
        self._ready = False
        self._bytes = 0
        self._aliases = TopicAliases()
        self._subscribing: dict[int | None, str] = {}
        self.credentials = credentials
        self._client = _client(address, options, self)

    @property
    def certificate(self) -> Validity | None:
        """How long the broker's certificate is valid; None without TLS."""
        return validity_of(self._client.presented)

    def start(self) -> None:
        """Begin to connect."""
        threading.Thread(target=self._connect, name="mqtt-connect", daemon=True).start()

    def _connect(self) -> None:
        try:
            session = _session(self.options)
            self._log_in(session.get("properties"))
            if self.closed:  # it took so long that nobody waits: a login now would end the next connection
                return
            self._client.connect(
                self.address.host,
                self.address.port,
                keepalive=max(int(self.options.broker.keepalive), 1),
                **session,
            )
        except ConfigError as error:
            self._end(ConnectionFailure.CREDENTIALS, str(error))
        except _BROKEN as error:
            self._end(*self._why_not(error))
        self._ready = True
        self._client.handed_over()
        if self.closed:
            self.abort()
        self._wake()

    def _log_in(self, properties: Properties | None) -> None:
        """Read login and certificates, unless the login is there; raises ConfigError."""
        broker = self.options.broker
        credentials = self.credentials = self.credentials or read_credentials(broker, self.address)
        if self.address.tls:
            self._client.tls_set_context(tls_context(broker))
        log_in(self._client, broker, credentials, properties)

    def _why_not(self, error: BaseException) -> tuple[ConnectionFailure, str]:
        """What kept us from connecting; an expired certificate of our own is a likely cause, so it is named."""
        failure, reason = why_not(error, self.address)
        expired = expired_certificate(self.options.broker) if self.address.tls else ""
        return failure, f"{reason}; {expired}" if expired else reason

    def drive(self, timeout: float, wake_fd: int, now: float) -> None:
        """Wait up to `timeout` seconds for the network or `wake_fd`, then read and write what is due."""
        sock = self._client.socket() if self._ready and not self.closed else None
        self._bytes = 0
        poll = select.poll()
        poll.register(wake_fd, select.POLLIN)
        if sock is not None:
            self._read_all()
            self._write_some()
            sock = None if self.closed else self._client.socket()
        if sock is not None:
            writing = select.POLLOUT if self._client.want_write() else 0
            poll.register(sock.fileno(), select.POLLIN | writing)
            timeout = 0.0 if _readable(sock) else timeout
        poll.poll(max(timeout, 0.0) * 1000)
        if sock is not None and not self.closed:
            self._read_all()
            self._write_some()
            self._attempt(self._client.loop_misc)
        patience = self.options.timeout + reading_seconds(self.options.broker)
        if self.opened is None and not self.closed and now - self.started > patience:
            self._end(ConnectionFailure.SILENT, "no answer to the login")

    def _write_some(self) -> None:
        if not self.closed and self._client.want_write():
            self._attempt(self._client.loop_write)

    def _read_all(self) -> None:
        """To be done before writing: a write to a connection that broke ends it, with all that had arrived."""
        for _ in range(READS_AT_ONCE):
            if self.closed or self._bytes >= BYTES_AT_ONCE or not _readable(self._client.socket()):
                return
            self._attempt(self._client.loop_read)

    def _attempt(self, step: Callable[[], MQTTErrorCode]) -> None:
        """paho lets what a broker sends wrongly surface as many kinds of exceptions: the connection is over."""
        if self.closed:
            return
        try:
            code = step()
        except _BROKEN as error:
            self._lost(f"protocol error: {type(error).__name__}: {error}", ConnectionFailure.PROTOCOL)
            return
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._lost(paho.error_string(code).rstrip("."))

    def _lost(self, reason: str, failure: ConnectionFailure = ConnectionFailure.LOST) -> None:
        """It broke; with TLS 1.3 a broker refuses our certificate only after the handshake, which paho hides."""
        if self.opened is None and self._client.tls_error is not None:
            self._end(*self._why_not(self._client.tls_error))
        else:  # before it is open a broker may just not understand our version
            self._end(ConnectionFailure.LOST if self.opened is None else failure, reason)

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        expiry: int | None = None,
        correlation: bytes | None = None,
    ) -> int:
        """Send; the id by which `Acked` will name it. Raises PermanentDelivery for what MQTT cannot carry."""
        known = self._aliases.of(topic)
        properties = None
        try:
            if self.options.version is ProtocolVersion.V5 and (
                expiry is not None or correlation or known.alias
            ):
                properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho leaves it untyped
                if expiry is not None:
                    properties.MessageExpiryInterval = max(expiry, 1)
                if correlation:
                    properties.CorrelationData = correlation
                if known.alias:
                    properties.TopicAlias = known.alias
            mid = self._client.publish(
                known.topic, payload, qos=qos, retain=retain, properties=properties
            ).mid
        except _BROKEN as error:
            raise PermanentDelivery(f"{type(error).__name__}: {printable(error, 200)}") from None
        self._aliases.sent(known)
        return mid

    def subscribe(self, topic: str, *, retained: bool = False) -> None:
        """Ask for `topic`; on MQTT 5 without what is retained, unless `retained` asks for that."""
        handling = (
            SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE if retained else SubscribeOptions.RETAIN_DO_NOT_SEND
        )
        options = SubscribeOptions(qos=1, retainHandling=handling)
        asked = {"options": options} if self.options.version is ProtocolVersion.V5 else {"qos": 1}
        self._subscribing[self._client.subscribe(topic, **asked)[1]] = topic

    def unsubscribe(self, topic: str) -> None:
        """Ask for `topic` no more."""
        self._client.unsubscribe(topic)

    def close(self, *, forget: bool = False) -> None:
        """Say goodbye (the broker then drops the will) and hang up; may be called twice.

        `forget` has an MQTT 5 broker drop our session as well, and with it what it would go on queueing for us.
        """
        self.closed = True
        properties = None
        if forget and self.options.version is ProtocolVersion.V5:
            properties = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]  # paho leaves it untyped
            properties.SessionExpiryInterval = 0
        if not self._ready:
            self._client.give_up()
        elif self._client.socket() is not None:
            with suppress(*_BROKEN):
                self._client.disconnect(properties=properties)
                self._client.loop_write()

    def abort(self) -> None:
        """Hang up without a word: the broker will publish the will."""
        self.closed = True
        if not self._ready:
            self._client.give_up()
            return
        if (sock := self._client.socket()) is not None:
            with suppress(OSError):
                sock.close()

    def _end(self, failure: ConnectionFailure, reason: str, code: int = 0) -> None:
        if not self.closed:
            self.events.append(Closed(failure=failure, reason=printable(reason, LONGEST_REASON), code=code))
            self.abort()

    def _end_by(self, reason: Any, properties: Any) -> None:
        """The broker has said why."""
        failure = why_ended(reason.value, was_open=self.opened is not None)
        self._end(failure, self._said(properties, reason), reason.value)

    def _said(self, properties: Any, reason: Any) -> str:
        """What the broker says of it, as far as that can be shown, else what its code means."""
        said = str(getattr(properties, "ReasonString", None) or "")
        other = str(getattr(properties, "ServerReference", None) or "")
        login = self.credentials or Credentials()
        said, other = (excerpt(text, login.password, Secret(login.username)) for text in (said, other))
        return f"{said or str(reason).lower()}{other and f': {other}'}"

    # -- paho's callbacks: append, nothing else ---------------------------------------------------------

    def on_connect(self, _client: Any, _data: Any, flags: Any, reason: Any, properties: Any) -> None:
        """CONNACK."""
        if reason.is_failure:
            self._end_by(reason, properties)
            return
        self._aliases = TopicAliases(getattr(properties, "TopicAliasMaximum", 0))
        self.opened = Opened(
            receive_maximum=getattr(properties, "ReceiveMaximum", 65535),
            maximum_packet=getattr(properties, "MaximumPacketSize", None),
            maximum_qos=min(getattr(properties, "MaximumQoS", 2), 2 if self.options.demands.qos else 0),
            retain_available=bool(getattr(properties, "RetainAvailable", 1)) and self.options.demands.retain,
            session_present=bool(flags.session_present),
        )
        self.events.append(self.opened)

    def on_disconnect(self, _client: Any, _data: Any, flags: Any, reason: Any, properties: Any) -> None:
        """DISCONNECT, or the connection broke."""
        if flags.is_disconnect_packet_from_server:
            self._end_by(reason, properties)
        elif reason.value == _PROTOCOL_ERROR:
            self._lost("what the broker sends is not MQTT", ConnectionFailure.PROTOCOL)
        else:
            self._lost("the connection broke")

    def on_publish(self, _client: Any, _data: Any, mid: int, reason: Any, _properties: Any) -> None:
        """PUBACK."""
        self.events.append(Acked(mid=mid, code=reason.value, reason=str(reason)))

    def on_subscribe(self, _client: Any, _data: Any, mid: int, reasons: Any, _properties: Any) -> None:
        """SUBACK; one topic is asked for at a time."""
        allowed = not any(reason.is_failure for reason in reasons)
        reason = ", ".join(map(str, reasons)).lower()
        self.events.append(Subscribed(topic=self._subscribing.pop(mid, ""), allowed=allowed, reason=reason))

    def on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        """A message for us; one whose topic is no text is nobody's."""
        self._bytes += len(message.payload)
        with suppress(UnicodeDecodeError):
            self.events.append(_received(message))


def _received(message: paho.MQTTMessage) -> Received:
    properties = getattr(message, "properties", None)
    return Received(
        topic=message.topic,
        payload=bytes(message.payload),
        retained=bool(message.retain),
        response_topic=getattr(properties, "ResponseTopic", None),
        correlation=getattr(properties, "CorrelationData", None),
    )


def _readable(sock: Any) -> bool:
    """Whether there is something to read, or to be told of; TLS and WebSocket read ahead of what `poll` sees."""
    if sock is None:
        return False
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool((hasattr(sock, "pending") and sock.pending() > 0) or poll.poll(0))


def _client(address: BrokerAddress, options: ConnectionOptions, owner: Connection) -> BrokerClient:
    newest = options.version is ProtocolVersion.V5
    client = BrokerClient(
        CallbackAPIVersion.VERSION2,
        client_id=options.client_id,
        protocol=MQTTProtocolVersion.MQTTv5 if newest else MQTTProtocolVersion.MQTTv311,
        transport="websockets" if address.web_path is not None else "tcp",
        reconnect_on_failure=False,
        **({} if newest else {"clean_session": options.session_expiry <= 0}),
    )
    client.connect_timeout = options.timeout
    client.max_inflight_messages_set(0)  # the window is ours
    if address.web_path is not None:
        client.ws_set_options(path=f"{address.web_path}{address.web_query and f'?{address.web_query}'}")
    demands = options.demands
    if options.will is not None and demands.will:
        client.will_set(options.will.topic, options.will.payload, qos=demands.qos, retain=demands.retain)
    # Having this callback keeps publish() from writing to the socket at once: one write serves many.
    client.on_socket_register_write = lambda *_: None
    client.on_connect, client.on_disconnect = owner.on_connect, owner.on_disconnect
    client.on_publish, client.on_message = owner.on_publish, owner.on_message
    client.on_subscribe = owner.on_subscribe
    return client


def _session(options: ConnectionOptions) -> dict[str, Any]:
    if options.version is not ProtocolVersion.V5:
        return {}
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it untyped
    properties.SessionExpiryInterval = int(options.session_expiry)
    properties.MaximumPacketSize = LARGEST_PACKET
    return {"clean_start": options.session_expiry <= 0, "properties": properties}
