"""The thread that builds references and writes them to disk, so that the analysis never waits for either."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

import structlog

from agent.core.errors import ReferenceMismatch
from agent.core.worker import Worker

log = structlog.get_logger("vedette.drift")

Task = Callable[[], None]
PATIENCE_SECONDS = 300.0
"""A week of windows takes five seconds to build on a desktop machine, more on a small board."""


class ReferenceWriter(Worker):
    """Carries out tasks one after the other; what is left when it is stopped is still done."""

    def __init__(self) -> None:
        super().__init__("references")
        self.patience_seconds = PATIENCE_SECONDS
        self._tasks: queue.SimpleQueue[tuple[str, Task]] = queue.SimpleQueue()
        self._failing = False

    def ask(self, what: str, task: Task) -> None:
        """Have `task` done; `what` names it in the journal should it fail."""
        self._tasks.put((what, task))

    def run(self, stop: threading.Event) -> None:
        """Work until stopped and nothing is left."""
        while True:
            self.beat()
            try:
                what, task = self._tasks.get(timeout=0.0 if stop.is_set() else 0.2)
            except queue.Empty:
                if stop.is_set():
                    return
                continue
            self._do(what, task)

    def _do(self, what: str, task: Task) -> None:
        try:
            task()
            self._failing = False
        except ReferenceMismatch as error:
            log.error(f"cannot {what}", error=str(error))
        except OSError as error:
            if not self._failing:  # a full disk is logged once, not every quarter of an hour for each camera
                log.error(f"cannot {what}", error=str(error))
            self._failing = True
        except Exception as error:  # noqa: BLE001  (the workers' rule: no task ends those after it)
            self.discard(what, error)
