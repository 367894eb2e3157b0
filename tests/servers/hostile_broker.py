"""A broker that lets a client in and then sends what no broker should."""

import struct

from tests.servers.tcp import TcpServer


def connack(code=0, reason=""):
    """CONNACK of MQTT 5 with a reason code and, where there is one, a reason string."""
    text = reason.encode()
    properties = b"\x1f" + struct.pack(">H", len(text)) + text if text else b""
    body = bytes([0, code]) + _length(len(properties)) + properties
    return b"\x20" + _length(len(body)) + body


def _length(number):
    digits = b""
    while number > 127:
        digits, number = digits + bytes([number & 127 | 128]), number >> 7
    return digits + bytes([number])


class HostileBroker(TcpServer):
    """Answers each login with `answer`, then sends `flood` again and again until the client hangs up.

    `sent` counts the bytes of the flood that went out, over all clients.
    """

    def __init__(self, answer, flood=b""):
        self.answer, self.flood, self.sent = answer, flood, 0
        super().__init__()

    def _serve(self, channel):
        with channel:
            try:
                channel.settimeout(10)
                channel.recv(65536)
                channel.sendall(self.answer)
                while self.flood:
                    self.sent += channel.send(self.flood)
                channel.recv(1)
            except OSError:
                return
