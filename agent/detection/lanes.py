"""Lanes are threads that serve one model: keeps their results in order, and forecasts when the next may begin."""

from __future__ import annotations

import threading
from collections.abc import Callable

_AHEAD = 8  # batches that may be done before an earlier one is; each holds its images
_MARGIN_SECONDS = 0.0005  # a lane that wakes late leaves the model idle; that costs more than an older frame


class ResultOrder:
    """Numbers batches as they begin, and delivers them in that order; a lane whose turn has not come does not wait."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._begun = self._delivered = 0
        self._ready: dict[int, Callable[[], None]] = {}
        self._delivering = False

    def begin(self) -> int:
        """The next number; each must be delivered, else none after it is. Waits while too many wait for one."""
        with self._changed:
            self._changed.wait_for(lambda: self._begun - self._delivered < _AHEAD)
            self._begun += 1
            return self._begun

    def deliver(self, number: int, deliver: Callable[[], None]) -> None:
        """Call `deliver` once all before `number` were called: at once, or later by the lane that they wait for.

        Raises what it, or one that had waited, raised; those after that are delivered nonetheless.
        """
        with self._changed:
            self._ready[number] = deliver
            if self._delivering:
                return
            self._delivering = True
        failure: Exception | None = None
        while following := self._following():
            try:
                following()
            except Exception as error:  # noqa: BLE001, PERF203  (raised below, once the others were delivered)
                failure = failure or error
        if failure:
            raise failure

    def _following(self) -> Callable[[], None] | None:
        with self._changed:
            deliver = self._ready.pop(self._delivered + 1, None)
            self._delivering = deliver is not None
            if deliver is not None:
                self._delivered += 1
            self._changed.notify_all()
            return deliver


class BusyForecast:
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
