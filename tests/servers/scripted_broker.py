"""An MQTT 5 broker whose answers are given by functions: what a broker may do that no other one here does."""

import socket
import struct

from tests.servers.strict_broker import StrictBroker
from tests.servers.tcp import TcpServer


def connack(properties=b"", code=0):
    return bytes([0x20, 3 + len(properties), 0, code, len(properties)]) + properties


def disconnect(code, properties=b""):
    return bytes([0xE0, 2 + len(properties), code, len(properties)]) + properties


class HangUp(Exception):
    """What a script raises to end the connection; `last` is sent before."""

    def __init__(self, last=b""):
        super().__init__()
        self.last = last


class ScriptedBroker(TcpServer):
    """`answer` is sent to each login, or a function of the number of the login.

    `publish(broker, topic, payload, retain)` and `subscribe(broker, topic)` return the code of the answer, or raise HangUp. `received`
    has what was acknowledged with a code below 0x80, `times` when each packet came, by its kind.
    """

    def __init__(self, answer=b"", publish=None, subscribe=None):
        self.answer, self.on_publish, self.on_subscribe = answer or connack(), publish, subscribe
        self.received, self.logins, self.pings, self.subscriptions = [], [], 0, []
        self.versions = []
        super().__init__()

    def _serve(self, channel):
        data, aliases = b"", {}
        with channel:
            try:
                while piece := channel.recv(65536):
                    data += piece
                    while (packet := StrictBroker._packet(data)) is not None:
                        kind, body, data = packet
                        channel.sendall(self._answer(kind, body, aliases))
            except HangUp as end:
                channel.sendall(end.last)
                channel.shutdown(socket.SHUT_WR)
                while channel.recv(65536):  # to close with something unread would reset what was sent
                    pass
            except OSError:
                return

    def _answer(self, kind, body, aliases):
        what = kind >> 4
        if what == 1:
            self.logins.append(body)
            self.versions.append(body[6])
            answer = self.answer(len(self.logins)) if callable(self.answer) else self.answer
            if answer is None:
                raise HangUp
            return answer
        if what == 3:
            return self._published(kind, body, aliases)
        if what == 8:
            length = struct.unpack(">H", body[3 + body[2] : 5 + body[2]])[0]
            topic = body[5 + body[2] : 5 + body[2] + length].decode()
            self.subscriptions.append(topic)
            code = self.on_subscribe(self, topic) if self.on_subscribe else 1
            return b"\x90\x04" + body[:2] + b"\x00" + bytes([code])
        if what == 12:
            self.pings += 1
            return b"\xd0\x00"
        if what == 14:
            raise HangUp
        return b""

    def _published(self, kind, body, aliases):
        length = struct.unpack(">H", body[:2])[0]
        topic, rest = body[2 : 2 + length].decode(), body[2 + length :]
        mid, rest = (rest[:2], rest[2:]) if kind & 6 else (b"", rest)
        properties, payload = rest[1 : 1 + rest[0]], rest[1 + rest[0] :]
        if properties[-3:-2] == b"\x23":
            number = properties[-2:]
            topic = aliases.setdefault(number, topic) or aliases[number]
        code = self.on_publish(self, topic, payload, bool(kind & 1)) if self.on_publish else 0
        if code < 0x80:
            self.received.append((topic, payload, bool(kind & 1)))
        return b"\x40\x03" + mid + bytes([code]) if mid else b""
