"""Hearing a broker: a paho client that hands every message of a prefix to a queue."""

from __future__ import annotations

import queue
import ssl
import uuid
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from agent.config.render import mask_url
from agent.dashboard.fleet import Fleet
from agent.errors import ConfigError, VedetteError

PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}


class Subscriber:
    """Subscribes to `<prefix>/#` at `url`; `messages` fills with (topic, payload)."""

    def __init__(self, url: str, prefix: str = "vedette", *, ca_file: str = "") -> None:
        self._url = url
        parts = urlsplit(url if "://" in url else f"mqtt://{url}")
        if parts.scheme not in PORTS or not parts.hostname:
            raise ConfigError(
                f"{mask_url(url)} is no broker address", expected="mqtt://HOST[:PORT]", key="broker"
            )
        self._host, self._port = parts.hostname, parts.port or PORTS[parts.scheme]
        self._topic = f"{prefix}/#"
        self.messages: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        web = parts.scheme.startswith("ws")
        # 3.1.1 is what every broker speaks, the embedded demo broker included
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"vedette-watch-{uuid.uuid4().hex[:8]}",
            transport="websockets" if web else "tcp",
        )
        if web and parts.path:
            self._client.ws_set_options(path=parts.path)
        if parts.scheme in ("mqtts", "wss"):
            self._client.tls_set_context(ssl.create_default_context(cafile=ca_file or None))
        if parts.username:
            self._client.username_pw_set(unquote(parts.username), unquote(parts.password or "") or None)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message

    def open(self, timeout: float = 10.0) -> None:
        """Connect and subscribe; raises VedetteError with the reason where that fails."""
        where = f"broker {mask_url(self._url)}"
        try:
            self._client.connect(self._host, self._port, keepalive=30)
        except (OSError, ssl.SSLError) as error:
            raise VedetteError(f"{where}: {error}; is it running, and the address right?") from None
        self._client.loop_start()
        try:
            refusal = self._answers.get(timeout=timeout)
        except queue.Empty:
            self.close()
            raise VedetteError(f"{where}: connected, but no answer within {timeout:.0f} s") from None
        if refusal:
            self.close()
            raise VedetteError(f"{where}: refused: {refusal}; check user and password")

    def close(self) -> None:
        """Disconnect; may be called twice."""
        self._client.disconnect()
        self._client.loop_stop()

    def feed(self, fleet: Fleet, now: float) -> None:
        """Hand everything that has come in to `fleet`."""
        while True:
            try:
                topic, payload = self.messages.get_nowait()
            except queue.Empty:
                return
            fleet.hear(topic, payload, now)

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
        if not reason.is_failure:
            client.subscribe(self._topic, qos=1)  # on every connect: a broker may have forgotten us
        self._answers.put(str(reason) if reason.is_failure else None)

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        self.messages.put((message.topic, bytes(message.payload)))
