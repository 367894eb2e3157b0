"""A broker that is one ordinary process on 127.0.0.1."""

import subprocess

from tests.brokers.sandbox import await_port
from tests.conftest import free_port


class Program:
    """`command(port)` gives the words; the process ends by SIGTERM or SIGKILL."""

    def __init__(self, folder):
        self.port, self._log, self._process = free_port(), folder / "log", None
        self.url = f"mqtt://127.0.0.1:{self.port}"

    def start(self):
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(word) for word in self.command(self.port)], stdout=log, stderr=log
            )
        await_port("127.0.0.1", self.port, lambda: self._process.poll() is None, self._log)
        return self

    def stop(self):
        if self._process:
            self._process.terminate()
            self._process.wait(20)

    def kill(self):
        self._process.kill()
        self._process.wait(10)
