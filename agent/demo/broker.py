"""A broker for the demo: mosquitto where it is installed, else amqtt (pure Python) in a thread."""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType

from agent.core import clock
from agent.core.child_environment import child_environment
from agent.core.errors import MissingExtra, VedetteError
from agent.core.installation import how_to_add

START_SECONDS = 10.0
_CHATTY = ("amqtt", "transitions", "websockets")


def free_port() -> int:
    """A TCP port of 127.0.0.1 that is free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class DemoBroker:
    """An MQTT broker on 127.0.0.1, for as long as the `with` block lasts; `url` is its address."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self.kind = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> DemoBroker:
        program = shutil.which("mosquitto", path=None) or shutil.which(
            "mosquitto", path="/usr/sbin:/usr/local/sbin"
        )
        try:
            if program:
                self._start_mosquitto(program)
            else:
                self._start_amqtt()
            self._wait()
        except BaseException:  # nobody leaves what was not entered: the process would stay
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the broker; may be called twice."""
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._loop and self._thread:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5)
        if self._folder:
            self._folder.cleanup()

    def _start_mosquitto(self, program: str) -> None:
        self.kind = "mosquitto"
        self._folder = tempfile.TemporaryDirectory(prefix="vedette-demo-")
        config = Path(self._folder.name) / "mosquitto.conf"
        config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        self._process = subprocess.Popen(
            [program, "-c", str(config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=child_environment(),
        )

    def _start_amqtt(self) -> None:
        try:
            from amqtt.broker import Broker
        except ModuleNotFoundError:
            raise MissingExtra(
                f"the demo needs a broker: apt-get install mosquitto, or {how_to_add('demo')}"
            ) from None
        self.kind = "amqtt"
        for (
            name
        ) in _CHATTY:  # it warns of every connection that is closed without a word, our own probe's too
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._loop = asyncio.new_event_loop()
        settings = {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }

        def serve(loop: asyncio.AbstractEventLoop) -> None:
            asyncio.set_event_loop(loop)
            broker = Broker(settings, loop=loop)
            loop.run_until_complete(broker.start())
            loop.run_forever()
            loop.run_until_complete(broker.shutdown())

        self._thread = threading.Thread(target=serve, args=(self._loop,), name="demo-broker", daemon=True)
        self._thread.start()

    def _wait(self) -> None:
        end = clock.monotonic() + START_SECONDS
        while clock.monotonic() < end:
            with socket.socket() as probe:
                probe.settimeout(0.5)
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise VedetteError(f"the demo's broker ({self.kind}) did not start within {START_SECONDS:.0f} s")
