"""Workers: the agent's threads, as the supervisor runs, restarts and stops them."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from agent.core import clock
from agent.core.errors import VedetteError

log = structlog.get_logger("vedette.parts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """A worker's health: `silent_seconds` since it last beat, `failures` and items `discarded` since it was added."""

    name: str
    silent_seconds: float
    failures: int = 0
    discarded: int = 0
    warming: bool = False
    stuck: bool = False
    done: bool = False
    given_up: bool = False

    @property
    def running(self) -> bool:
        """Whether it is running: neither finished nor given up."""
        return not (self.done or self.given_up)

    @property
    def state(self) -> str:
        """The health in one word."""
        words = {
            "given up": self.given_up,
            "done": self.done,
            "stuck": self.stuck,
            "waiting or warming up": self.warming,
        }
        return next((word for word, true in words.items() if true), "running")

    def to_json(self) -> dict[str, object]:
        """As plain JSON values."""
        return {
            "part": self.name,
            "state": self.state,
            "silent_seconds": round(self.silent_seconds, 1),
            "failures": self.failures,
            "discarded": self.discarded,
        }


class Worker(ABC):
    """One thread's work.

    `run(stop)` works until `stop` is set, and beats whenever it made progress or is idle for a good reason. A
    worker that has been silent for longer than `patience_seconds` counts as stuck; while `warming` (an engine
    build takes minutes) it may be silent for `warm_up_seconds`. An exception out of `run` is a failure: the
    supervisor calls `run` again.

    An item (a result, a task, a reading) that cannot be processed is no failure: `attempt` logs it, counts it in
    `discarded`, and the worker goes on with the next. Each item done is progress, however many wait behind it.
    """

    patience_seconds: float = 30.0
    warm_up_seconds: float = 3600.0

    def __init__(self, name: str) -> None:
        self.name = name
        self.warming = False
        self.discarded = 0
        self._beat = clock.monotonic()

    @property
    def enabled(self) -> bool:
        """Whether there is anything for it to do, with the config it was made with."""
        return True

    def beat(self) -> None:
        """Record progress."""
        self._beat = clock.monotonic()

    def silent_seconds(self) -> float:
        """Seconds since the last beat."""
        return clock.monotonic() - self._beat

    def stuck(self) -> bool:
        """Whether the worker has been silent for longer than its patience."""
        return self.silent_seconds() > (self.warm_up_seconds if self.warming else self.patience_seconds)

    def attempt(self, what: str, step: Callable[[], object]) -> bool:
        """Process one item by `step`; False if that failed: it is logged as `cannot {what}`."""
        try:
            step()
        except Exception as error:  # noqa: BLE001  (the workers' rule: no item ends the work on the others)
            self.discard(what, error)
            return False
        finally:
            self.beat()
        return True

    def discard(self, what: str, error: Exception) -> None:
        """Count and log an item that could not be processed for `error`; the log suppresses repeats."""
        self.discarded += 1
        log.error(
            f"cannot {what}, left out",
            part=self.name,
            error=f"{type(error).__name__}: {error}",
            exc_info=None if isinstance(error, VedetteError) else error,
        )

    @abstractmethod
    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; may be called again after it failed."""
