"""The handshake of a WebSocket (RFC 6455, section 4.1), and what a server answered that opens none: paho hides it."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from typing import Any

import paho.mqtt.client as paho

from agent.core.errors import ConfigError
from agent.core.printable import printable
from agent.core.secret import split_url

LARGEST_HEAD = 16 * 1024
"""Bytes of an answer's head that are read: a proxy's has some hundred."""

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_STATUS_LINE = re.compile(r"HTTP/\d(?:\.\d)? (\d{3})(?: (.*))?")
_LONGEST = 80


class UpgradeRefused(paho.WebsocketConnectionError):
    """The server opens no WebSocket; `status` is HTTP's (0: its answer is not HTTP)."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status


class WebSocket(paho._WebsocketWrapper):
    """paho's WebSocket, by a handshake that says why it failed."""

    def _do_handshake(self, extra_headers: Any) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        default = 443 if self._ssl else 80
        host = f"[{self._host}]" if ":" in self._host else self._host
        place = host if self._port == default else f"{host}:{self._port}"
        headers = {
            "Host": place,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Origin": f"{'https' if self._ssl else 'http'}://{place}",
            "Sec-WebSocket-Key": key,
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Protocol": "mqtt",
            **(extra_headers or {}),
        }
        lines = [
            f"GET {self._path} HTTP/1.1",
            *(f"{name}: {value}" for name, value in headers.items()),
            "",
            "",
        ]
        self._socket.sendall("\r\n".join(lines).encode())
        check_answer(self._read_head(), key)
        self.connected = True

    def _read_head(self) -> str:
        """Up to the empty line, and not a byte more: what follows is MQTT."""
        head = bytearray()
        while not head.endswith((b"\r\n\r\n", b"\n\n")):
            byte = self._socket.recv(1)
            if not byte or len(head) >= LARGEST_HEAD:
                break
            head += byte
        return head.decode("latin-1")


def check_answer(head: str, key: str) -> None:
    """Raise UpgradeRefused where `head`, a server's answer, opens no WebSocket for our `key`.

    >>> check_answer("HTTP/1.1 403 Forbidden\\r\\nServer: proxy\\r\\n\\r\\n", "")
    Traceback (most recent call last):
    agent.delivery.mqtt.upgrade.UpgradeRefused: the server answers 403 Forbidden
    """
    line, *lines = head.splitlines() or [""]
    found = _STATUS_LINE.fullmatch(line.strip())
    if found is None:
        said = (
            f"what answers is not a web server ({printable(line, _LONGEST)})"
            if line
            else "the server hangs up"
        )
        raise UpgradeRefused(0, said)
    status = int(found[1])
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)
    }
    if status != 101:
        raise UpgradeRefused(status, f"the server answers {_said(status, found[2] or '', headers)}")
    digest = hashlib.sha1(f"{key}{_GUID}".encode(), usedforsecurity=False).digest()
    if headers.get("sec-websocket-accept") != base64.b64encode(digest).decode():
        raise UpgradeRefused(status, "the server's answer does not belong to what was asked")


def _said(status: int, phrase: str, headers: dict[str, str]) -> str:
    """Status and phrase; of a redirect where it leads, by scheme and host alone: a path may hold a token."""
    text = f"{status} {printable(phrase, _LONGEST)}".strip()
    if not 300 <= status < 400 or not headers.get("location"):
        return text
    try:
        to = split_url(headers["location"], key="location", expected="an address")
        place = f"{to.scheme}://{to.hostname}" if to.scheme and to.hostname else "another path of it"
    except ConfigError:
        place = "what is not an address"
    return f"{text}, which leads to {printable(place, _LONGEST)}"
