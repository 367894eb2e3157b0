"""Parts: what a thread of the agent must offer so that it can be watched, restarted and stopped."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How a part is: `silent_seconds` since it last beat, `failures` since it was added."""

    name: str
    silent_seconds: float
    failures: int = 0
    warming: bool = False
    stuck: bool = False
    done: bool = False
    given_up: bool = False

    @property
    def running(self) -> bool:
        """Whether it is at work: neither finished nor given up."""
        return not (self.done or self.given_up)

    @property
    def state(self) -> str:
        """The same as one word."""
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
        }


class Part(ABC):
    """One thread's work.

    `run(stop)` works until `stop` is set, and beats whenever it made progress or is idle for a good reason. A
    part that has been silent for longer than `patience_seconds` counts as stuck; while `warming` (an engine
    build takes minutes) it may be silent for `warm_up_seconds`. An exception out of `run` is a failure: the
    supervisor starts `run` anew.
    """

    patience_seconds: float = 30.0
    warm_up_seconds: float = 3600.0

    def __init__(self, name: str) -> None:
        self.name = name
        self.warming = False
        self._beat = time.monotonic()  # noqa: TID251  (parts are edges)

    def beat(self) -> None:
        """Say that there was progress."""
        self._beat = time.monotonic()  # noqa: TID251

    def silent_seconds(self) -> float:
        """Seconds since the last beat."""
        return time.monotonic() - self._beat  # noqa: TID251

    def stuck(self) -> bool:
        """Whether the part has been silent for longer than its patience."""
        return self.silent_seconds() > (self.warm_up_seconds if self.warming else self.patience_seconds)

    @abstractmethod
    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; may be called again after it failed."""
