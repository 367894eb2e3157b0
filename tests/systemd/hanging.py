"""The agent as the unit runs it, with one more part: `doomed` falls silent on SIGUSR1."""

import signal
import threading
import time

from agent.__main__ import leave, main
from agent.app.service import Service
from agent.core.worker import Worker


class Doomed(Worker):
    """Beats until it is told to hang."""

    patience_seconds = 1.0

    def __init__(self):
        super().__init__("doomed")
        self.doom = threading.Event()

    def run(self, stop):
        while not self.doom.is_set() and not stop.wait(0.1):
            self.beat()
        hang(stop)


def hang(stop):
    while not stop.is_set():
        time.sleep(60)


part, start = Doomed(), Service.start


def start_with_it(service):
    start(service)
    service.supervisor.add(part)


Service.start = start_with_it
signal.signal(signal.SIGUSR1, lambda *_: part.doom.set())
leave(main(["run", "--config", "/etc/vedette/config.toml"]))
