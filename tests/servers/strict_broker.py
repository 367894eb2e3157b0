"""A small MQTT 5 broker that announces a Receive Maximum and hangs up on who exceeds it."""

import struct
import time

from tests.servers.tcp import TcpServer


class StrictBroker(TcpServer):
    """`refuses` topics (0x87), hangs up on a topic in which `ends_on` is found, `lacks` "retain" or "qos" (CONNACK 0x9A, 0x9B).

    `ends_with` is the code by which it then says why, 0: not at all. It takes packets of `largest` bytes, which it tells
    with `announces`, and says 0x95 on larger ones.

    Lets in who brings `token`, (method, data), in the properties of CONNECT.

    Acknowledges in batches, `pause` seconds after the first; `most` is the largest number that was unacknowledged."""

    def __init__(
        self,
        receive_maximum=10,
        pause=0.02,
        refuses=(),
        ends_on=None,
        ends_with=0,
        largest=None,
        announces=True,
        lacks=(),
        refuses_subscription=False,
        rules=None,
        token=None,
    ):
        self.receive_maximum, self.pause = receive_maximum, pause
        self.most, self.exceeded, self.published = 0, 0, []
        self.refuses, self.ends_on, self.lacks, self.logins = refuses, ends_on, lacks, []
        self.rules, self.broken, self.token = rules, [], token
        self.ends_with, self.largest, self.announces = ends_with, largest, announces
        self.connects, self.goodbyes, self.refuses_subscription = [], 0, refuses_subscription
        super().__init__()

    def _serve(self, channel):  # noqa: PLR0912  (one branch a packet)
        data, owed, due = b"", [], 0.0
        with channel:
            while True:
                channel.settimeout(0.005)
                try:
                    piece = channel.recv(65536)
                    if not piece:
                        return
                    data += piece
                except TimeoutError:
                    pass
                except OSError:
                    return
                while (packet := self._packet(data)) is not None:
                    kind, body, data = packet
                    if kind >> 4 == 1:
                        flags = body[7]
                        self.logins.append(flags)
                        self.connects.append(body)
                        if self.token and self.token != authentication(body):
                            channel.sendall(bytes([0x20, 3, 0, 0x8C, 0]))
                            return
                        if self.rules and (wrong := self.rules.login(body)):
                            self.broken.append(wrong)
                            return
                        if (flags & 0x20 and "retain" in self.lacks) or (
                            flags & 0x18 and "qos" in self.lacks
                        ):
                            code = 0x9A if flags & 0x20 and "retain" in self.lacks else 0x9B
                            channel.sendall(bytes([0x20, 3, 0, code, 0]))
                            return
                        properties = b"\x21" + struct.pack(">H", self.receive_maximum)
                        if self.largest and self.announces:
                            properties += b"\x27" + struct.pack(">I", self.largest)
                        channel.sendall(
                            bytes([0x20, 3 + len(properties), 0, 0, len(properties)]) + properties
                        )
                    elif kind >> 4 == 3:
                        over = "too large" if self.largest and len(body) + 2 > self.largest else ""
                        if over or (self.ends_on and self.ends_on in body[2:100].decode(errors="replace")):
                            self.broken.append(over or self.ends_on)
                            if code := 0x95 if over else self.ends_with:
                                channel.sendall(bytes([0xE0, 1, code]))
                            return
                        topic, mid = self._publish(kind, body)
                        if self.rules and (wrong := self.rules.publish(topic, body, retain=bool(kind & 1))):
                            self.broken.append(f"{topic}: {wrong}")
                            return
                        if not kind & 6:
                            continue
                        owed.append(
                            b"\x40\x03" + mid + b"\x87" if topic in self.refuses else b"\x40\x02" + mid
                        )
                        due = due or time.monotonic() + self.pause
                        self.most = max(self.most, len(owed))
                        if len(owed) > self.receive_maximum:
                            self.exceeded += 1
                            channel.sendall(b"\xe0\x01\x93")
                            return
                    elif kind >> 4 == 8:
                        if self.refuses_subscription:
                            return
                        channel.sendall(b"\x90\x04" + body[:2] + b"\x00\x01")
                    elif kind >> 4 == 12:
                        channel.sendall(b"\xd0\x00")
                    elif kind >> 4 == 14:
                        self.goodbyes += 1
                        return
                if owed and time.monotonic() >= due:
                    channel.sendall(b"".join(owed))
                    owed, due = [], 0.0

    def _publish(self, kind, body):
        length = struct.unpack(">H", body[:2])[0]
        topic, rest = body[2 : 2 + length].decode(), body[2 + length :]
        mid, rest = (rest[:2], rest[2:]) if kind & 6 else (b"", rest)
        self.published.append((topic, rest[1 + rest[0] :], bool(kind & 1)))
        return topic, mid

    @staticmethod
    def _packet(data):
        """(first byte, body, what follows) of a whole packet, else None."""
        size, shift = 0, 0
        for at in range(1, min(len(data), 5)):
            size |= (data[at] & 0x7F) << shift
            shift += 7
            if not data[at] & 0x80:
                end = at + 1 + size
                return (data[0], data[at + 1 : end], data[end:]) if len(data) >= end else None
        return None


def authentication(connect):
    """(method, data) in the properties of a CONNECT's body, after the other properties that we know of; else None."""
    rest, found = connect[11 : 11 + connect[10]], {}
    while rest:
        kind, rest = rest[0], rest[1:]
        if kind in {0x11, 0x27}:  # four bytes: session expiry, maximum packet size
            rest = rest[4:]
        elif kind in {0x21, 0x22}:
            rest = rest[2:]
        else:
            length = struct.unpack(">H", rest[:2])[0]
            found[kind], rest = rest[2 : 2 + length].decode(), rest[2 + length :]
    return (found[0x15], found[0x16]) if found.keys() >= {0x15, 0x16} else None
