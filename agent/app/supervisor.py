"""The supervisor: runs each worker in a thread, restarts failed ones with backoff, detects stuck ones.

Laws
----
1. A worker that raises is restarted after a jittered, growing pause; the others run on meanwhile.
2. A worker that fails more than `limit` times within `within_seconds` is given up: its name is in `exhausted`,
   and the process ends with an exit code, for systemd to start it again.
3. A worker that returns has finished (a file that ended) and is not restarted.
4. A worker that is silent for longer than its patience is stuck. A thread cannot be killed: the watchdog is no
   longer fed, and systemd restarts the process; without systemd, a stuck worker is only logged.
5. Stopping asks all workers at once, and waits for them until one deadline.
6. Once it is closed no worker is added: one that is started while the agent stops would outlive it.
"""

from __future__ import annotations

import random
import sys
import threading
import traceback
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from agent.core import clock
from agent.core.errors import VedetteError
from agent.core.worker import Health, Worker

log = structlog.get_logger("vedette.supervisor")

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
STACK_DEPTH = 6  # calls that are logged of a stuck worker


@dataclass(slots=True, eq=False)
class _Run:
    worker: Worker
    stop: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    failures: deque[float] = field(default_factory=deque)
    failed_total: int = 0
    done: bool = False
    logged_stuck: bool = False


class Supervisor:
    """Owns the threads of the workers given to `add`."""

    def __init__(self, *, limit: int = 10, within_seconds: float = 600.0) -> None:
        self._limit, self._within = limit, within_seconds
        self._runs: dict[str, _Run] = {}
        self._lock = threading.Lock()
        self._closed = False
        self.exhausted: str | None = None

    def add(self, worker: Worker) -> None:
        """Start a worker in a thread of its own. Raises VedetteError once closed, RuntimeError without a thread."""
        run = _Run(worker)
        run.thread = threading.Thread(target=self._live, args=(run,), name=worker.name, daemon=True)
        with self._lock:
            if self._closed:
                raise VedetteError(f"the agent is stopping, {worker.name} is not started")
            if worker.name in self._runs:
                raise ValueError(f"there is a worker {worker.name!r} already")
            run.thread.start()  # (a system out of threads raises here: then nothing was added)
            self._runs[worker.name] = run

    def remove(self, name: str, timeout: float = 5.0) -> bool:
        """Stop one worker; True if its thread ended in time (if not, it is abandoned)."""
        return not self.remove_all([name], timeout)

    def remove_all(self, names: Iterable[str], timeout: float) -> list[str]:
        """Stop these workers within `timeout` seconds together; the names of those that did not end (now abandoned)."""
        with self._lock:
            runs = [self._runs.pop(name) for name in names if name in self._runs]
        return _end(runs, timeout)

    def close(self) -> None:
        """Refuse to start workers from now on."""
        with self._lock:
            self._closed = True

    def stop(self, timeout: float) -> list[str]:
        """Stop all workers within `timeout` seconds, for good; the names of those that did not end."""
        self.close()
        with self._lock:
            runs = list(self._runs.values())
        return _end(runs, timeout)

    def names(self) -> list[str]:
        """The names of all workers."""
        with self._lock:
            return list(self._runs)

    def health(self) -> list[Health]:
        """The health of each worker; logs nothing, may be called from any thread."""
        with self._lock:
            runs = list(self._runs.values())
        return [
            Health(
                name=run.worker.name,
                silent_seconds=run.worker.silent_seconds(),
                failures=run.failed_total,
                discarded=run.worker.discarded,
                warming=run.worker.warming,
                stuck=not run.done and run.worker.stuck(),
                done=run.done,
                given_up=self.exhausted == run.worker.name,
            )
            for run in runs
        ]

    def stuck(self) -> list[str]:
        """The names of workers that are silent for longer than their patience; logs each once."""
        with self._lock:
            runs = list(self._runs.values())
        found = []
        for run in runs:
            stuck = not run.done and run.worker.stuck()
            if stuck and not run.logged_stuck:
                log.error(
                    "worker is stuck",
                    part=run.worker.name,
                    silent_seconds=run.worker.silent_seconds(),
                    where=_where(run.thread),
                )
            run.logged_stuck = stuck
            if stuck:
                found.append(run.worker.name)
        return found

    def report(self) -> list[dict[str, object]]:
        """The health of each worker as plain values."""
        return [worker.to_json() for worker in self.health()]

    def _live(self, run: _Run) -> None:
        while not run.stop.is_set():
            run.worker.beat()
            try:
                run.worker.run(run.stop)
                run.done = True
                return
            except Exception as error:  # noqa: BLE001  (the one broad except: whatever failed is restarted)
                if not self._after_failure(run, error):
                    return

    def _after_failure(self, run: _Run, error: Exception) -> bool:
        """Wait before the next try; False when the worker is given up or stopped."""
        if run.stop.is_set():  # (nobody waits for it any more: its failures are no reason to end the agent)
            log.warning("worker failed while it stopped", part=run.worker.name, error=str(error))
            return False
        now = clock.monotonic()
        run.failures.append(now)
        run.failed_total += 1
        while run.failures and now - run.failures[0] > self._within:
            run.failures.popleft()
        count = len(run.failures)
        expected = isinstance(error, VedetteError)
        if count > self._limit:
            log.critical(
                "worker failed too often, giving up", part=run.worker.name, failures=count, error=str(error)
            )
            self.exhausted = run.worker.name
            run.done = True
            return False
        ceiling = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (count - 1))
        pause = random.uniform(ceiling / 2, ceiling)
        log.error(
            "worker failed, restarting it",
            part=run.worker.name,
            error=f"{type(error).__name__}: {error}",
            retry_seconds=pause,
            exc_info=None if expected else error,
        )
        run.worker.warming = True  # waiting to be restarted is not being stuck
        run.stop.wait(pause)
        run.worker.warming = False
        return True


def _end(runs: list[_Run], timeout: float) -> list[str]:
    """Ask all to end, then wait for them; the names of those that did not in `timeout` seconds."""
    for run in runs:
        run.stop.set()
    deadline = clock.monotonic() + timeout
    threads = [(run.worker.name, run.thread) for run in runs if run.thread is not None]
    for _, thread in threads:
        thread.join(max(0.0, deadline - clock.monotonic()))
    return [name for name, thread in threads if thread.is_alive()]


def _where(thread: threading.Thread | None) -> str:
    """Where a thread is just now, the innermost calls first."""
    frame = sys._current_frames().get(thread.ident or 0) if thread is not None else None
    if frame is None:
        return "unknown"
    calls = traceback.extract_stack(frame)[: -STACK_DEPTH - 1 : -1]
    return " < ".join(f"{call.name} ({Path(call.filename).name}:{call.lineno})" for call in calls)
