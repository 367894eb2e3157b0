"""A TCP proxy in front of a real server that does to a stream what networks and bad cameras do.

What flows from the server to the client can be slowed, held, damaged, or have the time stamps of its RTP packets
changed; `mode` may be set at any moment.
"""

import contextlib
import random
import socket
import struct
import threading
import time


class Proxy(threading.Thread):
    """Listens on a free port of 127.0.0.1 and connects through to `port`.

    `mode`: "pass"; "hold" (nothing gets through); "slow" (`rate` bytes a second); "damage" (a byte of every
    `every` is changed); "stamps" (all RTP packets carry one time); "leaps" (their time leaps ten seconds
    every second); "refuse" (connections are closed at once).
    """

    def __init__(self, port, mode="pass", *, rate=20_000, every=5_000):
        super().__init__(daemon=True)
        self.target, self.mode, self.rate, self.every = port, mode, rate, every
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.connections = 0
        self._random = random.Random(1)
        self._pairs = []

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.socket.accept()
                self.connections += 1
                if self.mode == "refuse":
                    client.close()
                    continue
                try:
                    server = socket.create_connection(("127.0.0.1", self.target))
                except OSError:
                    client.close()
                    continue
                self._pairs.append((client, server))
                for work, ends in ((self._up, (client, server)), (self._down, (server, client))):
                    threading.Thread(target=self._piped, args=(work, *ends), daemon=True).start()

    def cut(self):
        """End every connection."""
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self._pairs.clear()

    def close(self):
        """End, with every connection."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.cut()

    def _piped(self, work, source, sink):
        with contextlib.suppress(OSError, EOFError):
            work(source, sink)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _up(self, source, sink):
        while data := source.recv(65536):
            sink.sendall(data)

    def _down(self, source, sink):
        began = time.monotonic()
        while True:
            data = self._unit(source)
            while self.mode == "hold":
                time.sleep(0.02)
            if self.mode == "slow":
                time.sleep(len(data) / self.rate)
            elif self.mode == "damage":
                data = self._damaged(data)
            elif self.mode in ("stamps", "leaps"):
                data = self._stamped(data, time.monotonic() - began)
            sink.sendall(data)

    def _unit(self, source):
        """One interleaved packet (`$`, channel, length), or what else there is."""
        first = _exactly(source, 1)
        if first != b"$":
            return first + (source.recv(65536) if _waiting(source) else b"")
        head = _exactly(source, 3)
        return first + head + _exactly(source, struct.unpack(">H", head[1:])[0])

    def _damaged(self, data):
        if not data.startswith(b"$") or len(data) < 100:
            return data
        data = bytearray(data)
        for _ in range(
            max(1, len(data) // self.every) if self._random.random() < len(data) / self.every else 0
        ):
            data[self._random.randrange(20, len(data))] ^= self._random.randrange(1, 256)
        return bytes(data)

    def _stamped(self, data, seconds):
        if not data.startswith(b"$\x00") or len(data) < 16:
            return data
        (stamp,) = struct.unpack(">I", data[8:12])
        stamp = 90_000 if self.mode == "stamps" else (stamp + 900_000 * int(seconds)) % 2**32
        return data[:8] + struct.pack(">I", stamp) + data[12:]


def _waiting(source):
    with contextlib.suppress(BlockingIOError):
        return bool(source.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    return False


def _exactly(source, count):
    data = bytearray()
    while len(data) < count:
        more = source.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return bytes(data)
