"""paho's client with the bounds that it lacks, and with the reasons for failures that it hides.

Bounded are waits for dead addresses of a name and the size of packets; a refused WebSocket gives its reason.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MessageType, MQTTErrorCode

from agent.core.dial import dial
from agent.delivery.mqtt.upgrade import WebSocket

LARGEST_PACKET = 1024 * 1024
"""Bytes of a packet from the broker: a command has 16 KiB and its properties. MQTT itself allows 256 MiB."""

KEPT_OF_LARGER = 64 * 1024
"""Bytes from which on a message in a larger packet is cut off, unread: what is too large to be meant for us, any reader
refuses; to hang up on it would end every connection for ever where the broker retains it."""

TO_DIAL = 0.8
"""Share of the time for a connection that name and address may take: then it is said which of them failed, before it is
over as a whole. Three tries of TCP lie within eight seconds as within ten (RFC 6298: after 1, 3 and 7 s)."""

_AUTH = 0xF0


class DialingClient(paho.Client):
    """Takes the first address of a name that answers; paho waits for each in turn, as long as for all of them."""

    def _create_socket_connection(self) -> socket.socket:
        return dial(self._host, self._port, TO_DIAL * self._connect_timeout)

    def _create_socket(self) -> Any:
        if self._transport != "websockets":
            return super()._create_socket()
        line = self._create_socket_connection()
        if self._ssl:
            line = self._ssl_wrap_socket(line)
        line.settimeout(self._connect_timeout)
        return WebSocket(
            socket=line,
            host=self._host,
            port=self._port,
            is_ssl=self._ssl,
            path=self._websocket_path,
            extra_headers=self._websocket_extra_headers,
        )


class BrokerClient(DialingClient):
    """paho gathers as large a packet as is announced; this one keeps KEPT_OF_LARGER of a message over LARGEST_PACKET.

    `tls_error` is why TLS ended the connection while reading; paho swallows it. `presented` is the certificate of the
    broker as `ssl` decodes it, once TLS is there. `give_up` ends a handshake of TLS or
    WebSocket: who answers a byte now and then would hold the thread that connects for ever.
    """

    tls_error: ssl.SSLError | None = None
    presented: Mapping[str, Any] | None = None
    _line: socket.socket | None = None
    _given_up = False

    def _create_socket_connection(self) -> socket.socket:
        made = super()._create_socket_connection()
        self._line = made.dup()  # TLS takes the first one over
        if self._given_up:
            self.give_up()
        return made

    def _ssl_wrap_socket(self, tcp_sock: socket.socket) -> ssl.SSLSocket:
        line = super()._ssl_wrap_socket(tcp_sock)
        self.presented = line.getpeercert()
        return line

    def give_up(self) -> None:
        """End what is being connected, or is about to be; from any thread."""
        self._given_up = True
        if (line := self._line) is not None:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def handed_over(self) -> None:
        """Connecting is over, one way or the other."""
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _packet_handle(self) -> MQTTErrorCode:
        if self._in_packet["command"] & 0xF0 == _AUTH:
            raise ValueError(
                "the broker asks for another step of the login (AUTH), which the agent does not support"
            )
        return super()._packet_handle()

    def _sock_recv(self, bufsize: int) -> bytes:
        announced = self._in_packet["remaining_length"]
        if self._in_packet["have_remaining"] and announced > LARGEST_PACKET:
            if self._in_packet["command"] & 0xF0 != MessageType.PUBLISH:
                raise ValueError(f"the broker sends a packet of {announced} bytes that is not a message")
            del self._in_packet["packet"][KEPT_OF_LARGER:]
            bufsize = min(bufsize, KEPT_OF_LARGER)
        try:
            return super()._sock_recv(bufsize)
        except ssl.SSLError as error:
            self.tls_error = error
            raise
