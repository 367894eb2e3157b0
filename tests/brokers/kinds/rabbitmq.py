"""RabbitMQ with its MQTT plugin: 3.10 of Debian 12 as installed, and 4.0 of Debian 13 in a root of its own."""

import os
from pathlib import Path

from tests.brokers import roots
from tests.brokers.sandbox import Sandbox, await_port
from tests.conftest import free_port

BIN = "/usr/lib/rabbitmq/bin"


class RabbitMqNode:
    """One node at `address`, with ports of its own; `network`, `settings` and `more` (for Erlang) are for clusters."""

    def __init__(self, folder, *, root="/", address="127.0.0.1", network=None, settings=(), more=""):
        self._folder, self._root, self._network, self.address = Path(folder), root, network, address
        self.port, self._sandbox, self.node = free_port(), None, f"rabbit@{address}"
        self.url = f"mqtt://guest:guest@{address}:{self.port}"
        self._folder.mkdir(exist_ok=True)
        self._write("rabbitmq.conf", "\n".join([*self._settings(), *settings, ""]))
        self._write("inetrc", "{lookup, [file]}.\n")  # no name server is reached from a network namespace
        self._write("plugins", "[rabbitmq_mqtt].\n")
        self._write(".erlang.cookie", "vedette")
        (self._folder / ".erlang.cookie").chmod(0o400)
        distribution = ("4369", "25672") if network else (free_port(), free_port())
        self._environment = {
            "HOME": self._folder,
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "RABBITMQ_USE_LONGNAME": "true",
            "RABBITMQ_NODENAME": self.node,
            "ERL_INETRC": self._folder / "inetrc",
            "ERL_EPMD_PORT": distribution[0],
            "RABBITMQ_DIST_PORT": distribution[1],
            "RABBITMQ_MNESIA_BASE": self._folder / "data",
            "RABBITMQ_LOG_BASE": self._folder / "logs",
            "RABBITMQ_CONFIG_FILE": self._folder / "rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": self._folder / "plugins",
            "RABBITMQ_PID_FILE": self._folder / "pid",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"+S 1:1 +sbwt none {more}",  # a small machine
        }

    def _settings(self):
        return (
            "listeners.tcp = none",
            f"mqtt.listeners.tcp.default = {self.address}:{self.port}",
            "loopback_users = none",
            "vm_memory_high_watermark.absolute = 400MB",
            "disk_free_limit.absolute = 50MB",
        )

    def _write(self, name, text):
        (self._folder / name).write_text(text)

    def begin(self):
        """Start without waiting."""
        command = [f"{BIN}/rabbitmq-server"]
        self._sandbox = Sandbox(
            command, self._folder, root=self._root, network=self._network, environment=self._environment
        )

    def wait(self, timeout=120):
        await_port(self.address, self.port, lambda: self._sandbox.running, self._sandbox.log, timeout)

    def start(self):
        self.begin()
        self.wait()
        return self

    @property
    def running(self):
        return self._sandbox is not None and self._sandbox.running

    def stop(self):
        if self._sandbox:
            self._sandbox.stop("beam.smp", timeout=60)

    def kill(self):
        self._sandbox.kill()


class RabbitMq12(RabbitMqNode):
    name = "RabbitMQ (Debian 12)"
    lacks = frozenset({"mqtt 5", "retained wildcard", "retained kill", "dots"})

    @staticmethod
    def root():
        return "/"

    def __init__(self, folder):
        super().__init__(folder)

    @staticmethod
    def missing():
        if os.geteuid() != 0:
            return "needs root, for process ids of its own"
        return "" if Path(BIN).exists() else "needs rabbitmq-server (Debian package)"

    @classmethod
    def version(cls):
        return next(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*")).name.partition("-")[2]


class RabbitMq13(RabbitMqNode):
    name = "RabbitMQ (Debian 13)"
    lacks = frozenset({"retained wildcard", "retained kill", "dots"})  # retained: written every 2 s
    missing, root = staticmethod(roots.missing), staticmethod(roots.trixie)

    def __init__(self, folder):
        super().__init__(folder, root=roots.trixie())

    @classmethod
    def version(cls):
        return next((roots.trixie() / "usr/lib/rabbitmq/lib").glob("rabbitmq_server-*")).name.partition("-")[
            2
        ]
