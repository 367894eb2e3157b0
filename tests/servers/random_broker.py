"""An MQTT 5 broker that decides at random, by a seed, how it treats each login and each message.

It refuses logins by any code, answers in pieces or not at all, names limits, refuses messages, disconnects with a reason,
resets the connection, acknowledges late. `be_well` ends that. Kept: `accepted`, topics and payloads it acknowledged.
"""

import random
import socket
import struct
import threading
import time
from contextlib import suppress

from tests.servers.strict_broker import StrictBroker
from tests.servers.tcp import TcpServer

LOGIN_REFUSALS = (0x80, 0x84, 0x85, 0x87, 0x88, 0x89, 0x97, 0x9C, 0x9F)  # those that lack QoS 1 lose messages
GOODBYES = (0x00, 0x81, 0x82, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x93, 0x96, 0x97, 0x98, 0xA1)
REFUSALS = (0x80, 0x83, 0x87, 0x97)
FOR_GOOD = (0x90, 0x99)


class RandomBroker(TcpServer):
    def __init__(self, seed):
        self._random, self._lock = random.Random(seed), threading.Lock()
        self.accepted, self.for_good, self.problems, self.logins = [], set(), [], 0
        self.refused, self.current = set(), None
        self.hung_up = False  # before it answered a login: twice would be understood as dislike of QoS 1
        self._well = threading.Event()
        self._open = set()
        super().__init__()

    def be_well(self):
        """Take everything from the next connection on."""
        self._well.set()
        with self._lock:
            for channel in self._open:
                with suppress(OSError):  # its thread is just closing it
                    channel.shutdown(socket.SHUT_RDWR)

    def _serve(self, channel):
        with self._lock:
            self._open.add(channel)
            chance = random.Random(self._random.random())
        try:
            with channel:
                _Login(self, channel, chance, well=self._well.is_set()).serve()
        except OSError:
            return
        finally:
            with self._lock:
                self._open.discard(channel)


class _Login:
    def __init__(self, broker, channel, chance, *, well):
        self.broker, self.channel, self.chance, self.well = broker, channel, chance, well
        self.unanswered, self.owed = 0, []
        self.maximum = chance.choice((1, 2, 10, 65535))
        self.largest = chance.choice((None, None, 1500))

    def happens(self, share):
        return not self.well and self.chance.random() < share

    def send(self, data):
        """In two pieces now and then; the second may never come."""
        if self.happens(0.1):
            cut = self.chance.randrange(len(data))
            self.channel.sendall(data[:cut])
            time.sleep(0.01)
            if self.happens(0.2):
                raise OSError("hung up in the middle of a packet")
            data = data[cut:]
        self.channel.sendall(data)

    def serve(self):
        data = b""
        while True:
            self.channel.settimeout(0.01 if self.owed else 5.0)
            try:
                piece = self.channel.recv(65536)
                if not piece:
                    return
                data += piece
            except TimeoutError:
                pass
            while (packet := StrictBroker._packet(data)) is not None:
                kind, body, data = packet
                if not self.take(kind, body):
                    return
            if not self.happens(0.2):
                for answer in self.owed:
                    self.send(answer)
                self.unanswered -= len(self.owed)
                self.owed = []

    def take(self, kind, body):
        """Answer one packet; False where the connection is to end."""
        what = kind >> 4
        if what == 1:
            self.broker.current = self
        if self.broker.current is not self:  # as a broker ends the former connection of a client id
            return False
        if what == 1:
            return self.login(body)
        if what == 3:
            return self.published(kind, body)
        if what == 8:
            self.send(b"\x90\x04" + body[:2] + b"\x00\x01")
        elif what == 12:
            self.send(b"\xd0\x00")
        return what != 14

    def login(self, body):
        self.broker.logins += 1
        if self.happens(0.3):
            self.channel.sendall(bytes([0x20, 3, 0, self.chance.choice(LOGIN_REFUSALS), 0]))
            return False
        if not self.broker.hung_up and self.happens(0.1):
            self.broker.hung_up = True
            return False
        properties = b"\x21" + struct.pack(">H", self.maximum)
        if self.largest and not self.well:
            properties += b"\x27" + struct.pack(">I", self.largest)
        self.channel.sendall(bytes([0x20, 3 + len(properties), 0, 0, len(properties)]) + properties)
        self.broker.hung_up = False
        return True

    def published(self, kind, body):
        length = struct.unpack(">H", body[:2])[0]
        topic, rest = body[2 : 2 + length].decode(), body[2 + length :]
        mid, rest = (rest[:2], rest[2:]) if kind & 6 else (b"", rest)
        payload = rest[1 + rest[0] :]
        if kind & 6:
            self.unanswered += 1
            if self.unanswered > self.maximum:
                self.broker.problems.append("Receive Maximum")
        if self.largest and not self.well and len(body) + 5 > self.largest:
            self.broker.problems.append("Maximum Packet Size")
        if self.happens(0.04):
            if self.happens(0.5):
                self.send(bytes([0xE0, 1, self.chance.choice(GOODBYES)]))
            return False
        if not kind & 6:
            return True
        code = 0
        if self.happens(0.1):
            code = self.chance.choice(REFUSALS)
            self.broker.refused.add(topic)
        elif self.happens(0.02):
            code = self.chance.choice(FOR_GOOD)
            self.broker.for_good.add((topic, payload))
        else:
            self.broker.accepted.append((topic, payload))
        self.owed.append(b"\x40\x03" + mid + bytes([code]) if code else b"\x40\x02" + mid)
        return True
