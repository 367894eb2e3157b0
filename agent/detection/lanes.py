"""Lanes: threads that serve one model in turn. What keeps them in order, and tells them when to begin."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_MARGIN_SECONDS = 0.0005  # a lane that wakes late leaves the model idle; that costs more than an older frame


class Turns:
    """Numbers what is begun, and lets it be told in that order."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._begun = self._told = 0

    def begin(self) -> int:
        """The next number; each must be told, else nobody after it is."""
        with self._changed:
            self._begun += 1
            return self._begun

    @contextmanager
    def tell(self, number: int) -> Iterator[None]:
        """Wait until all before `number` have told."""
        with self._changed:
            self._changed.wait_for(lambda: self._told == number - 1)
        try:
            yield
        finally:
            with self._changed:
                self._told = number
                self._changed.notify_all()


class Outlook:
    """Foresees when the model will be free, by what the last frames cost. Seconds, on any one clock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._prepare = self._run = 0.0  # of one frame
        self._pending = 0
        self._free_at = 0.0

    def begun(self, frames: int, now: float) -> None:
        """A batch was chosen."""
        with self._lock:
            self._pending += frames
            self._free_at = max(self._free_at, now + self._prepare * frames) + self._run * frames

    def ended(self, frames: int, now: float, *, prepare: float = 0.0, run: float = 0.0) -> None:
        """The model has done with a batch, or failed (no times then)."""
        with self._lock:
            self._pending -= frames
            if run:
                self._prepare, self._run = prepare / frames, run / frames
            self._free_at = now + self._run * self._pending

    def choose_in(self, frames: int, now: float) -> float:
        """In how many seconds up to `frames` should be chosen: prepared just before the model is free."""
        with self._lock:
            return max(0.0, self._free_at - self._prepare * frames - _MARGIN_SECONDS - now)


def work_abreast(count: int, step: Callable[[], None], stop: threading.Event) -> None:
    """Call `step` again and again in `count` threads, this one among them, until `stop` is set or one fails.

    Raises what the first that failed raised, once all have ended.
    """
    failed = threading.Event()
    failures: list[Exception] = []

    def lane() -> None:
        try:
            while not stop.is_set() and not failed.is_set():
                step()
        except Exception as error:  # noqa: BLE001  (raised below, in the caller's thread)
            failures.append(error)
            failed.set()

    others = [threading.Thread(target=lane, name=f"lane-{number}") for number in range(2, count + 1)]
    for thread in others:
        thread.start()
    lane()
    for thread in others:
        thread.join()
    if failures:
        raise failures[0]
