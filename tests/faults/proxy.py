"""A TCP proxy of our own that drops, delays, halves and resets, for tests and benchmarks of delivery."""

import contextlib
import socket
import struct
import threading
import time


class Proxy:
    """In front of `target` (a port). `mode`: pass, blackhole, mute (nothing comes back), refuse.

    New connections are let through only while `gate()` is true; `accepted` counts all of them.
    """

    def __init__(self, target, gate=lambda: True):
        self._target, self._gate = target, gate
        self.mode, self.delay, self.halve, self.accepted = "pass", 0.0, False, 0
        self._pairs = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"mqtt://127.0.0.1:{self.port}"

    def _accept(self):
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            self.accepted += 1
            if self.mode == "refuse" or not self._gate():
                _reset(near)
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                _reset(near)
                continue
            far.settimeout(None)
            self._pairs.append((near, far))
            for source, sink, back in ((near, far, False), (far, near, True)):
                threading.Thread(target=self._pump, args=(source, sink, back), daemon=True).start()

    def _pump(self, source, sink, back):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self.mode == "blackhole" or (self.mode == "mute" and back):
                    continue
                if self.delay:
                    time.sleep(self.delay)
                if self.halve and not back and len(data) > 1:
                    self.halve = False
                    sink.sendall(data[: len(data) // 2])
                    break
                sink.sendall(data)
        _reset(source)
        _reset(sink)
        self._pairs = [pair for pair in self._pairs if source not in pair]

    def reset(self):
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                _reset(end)

    def close(self):
        self._server.close()
        self.reset()


def _reset(end):
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        end.close()
