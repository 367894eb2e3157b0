"""Mosquitto of Debian 12 as it is installed, and of Debian 13 in a root of its own; both with persistence on."""

import subprocess

from tests.brokers import roots
from tests.brokers.sandbox import Sandbox, await_port
from tests.conftest import MOSQUITTO, Mosquitto, free_port


class Mosquitto12(Mosquitto):
    name = "Mosquitto (Debian 12)"
    lacks = frozenset({"retained kill", "session kill"})  # written at a stop, and every 30 minutes

    def __init__(self, folder):
        super().__init__(
            folder, "allow_anonymous true", "persistence true", f"persistence_location {folder}/"
        )

    @staticmethod
    def missing():
        return "" if MOSQUITTO else "needs mosquitto (Debian package)"

    @staticmethod
    def version():
        return subprocess.run([MOSQUITTO, "-h"], capture_output=True, text=True).stdout.split()[2]

    def kill(self):
        self.stop(kill=True)


class Mosquitto13:
    name, lacks = "Mosquitto (Debian 13)", Mosquitto12.lacks
    missing = staticmethod(roots.missing)

    def __init__(self, folder):
        self.port, self._folder, self._sandbox = free_port(), folder, None
        self.url = f"mqtt://127.0.0.1:{self.port}"
        (folder / "mosquitto.conf").write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nuser root\n"
            f"persistence true\npersistence_location {folder}/\n"
        )

    @staticmethod
    def version():
        words = ["chroot", roots.trixie(), "mosquitto", "-h"]
        return subprocess.run(words, capture_output=True, text=True).stdout.split()[2]

    def start(self):
        command = ["mosquitto", "-c", self._folder / "mosquitto.conf"]
        self._sandbox = Sandbox(command, self._folder, root=roots.trixie())
        await_port("127.0.0.1", self.port, lambda: self._sandbox.running, self._sandbox.log)
        return self

    def stop(self):
        if self._sandbox:
            self._sandbox.stop("mosquitto")

    def kill(self):
        self._sandbox.kill()
