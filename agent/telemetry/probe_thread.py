"""One probe in a thread of its own, so that a hung driver call holds up nobody else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from agent.core import clock
from agent.core.errors import ProbeUnavailable
from agent.core.types import Scalar
from agent.telemetry import Probe, Reading

log = structlog.get_logger("vedette.telemetry")

LOOK_AGAIN_SECONDS = 60.0
"""An unavailable probe is tried again this often: drivers come up late at boot, and are upgraded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeOutcome:
    """What came of the last finished read: `seconds` it took, `at` (Unix time) and `monotonic` when it ended."""

    readings: tuple[Reading, ...]
    seconds: float
    at: float
    monotonic: float


class ProbeWorker:
    """Asks one probe whenever `ask` is called and the last answer has come.

    The thread is a daemon: a call that never returns cannot keep the process alive.
    """

    def __init__(self, name: str, probe: Probe, answered: Callable[[], None]) -> None:
        self.name = name
        self._probe, self._answered = probe, answered
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._asked = self._stopping = False
        self._outcome: ProbeOutcome | None = None
        self._error: Exception | None = None
        self._open = self._told = False
        self._look_again = 0.0

    @property
    def busy(self) -> bool:
        """Whether a question is open."""
        return self._asked

    @property
    def present(self) -> bool:
        """Whether there is something to measure."""
        return self._open

    def facts(self) -> Mapping[str, Scalar]:
        """What the probe knows that does not change."""
        return self._probe.facts()

    def start(self) -> None:
        """Start the thread, or go on with one whose call still hangs from before."""
        self._stopping = False
        if self._thread is None or not self._thread.is_alive():
            self._asked = False
            self._thread = threading.Thread(target=self._run, name=f"probe-{self.name}", daemon=True)
            self._thread.start()

    def stop(self, patience: float = 1.0) -> None:
        """End the thread and close the probe; a call that hangs is left behind."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(patience)

    def ask(self) -> bool:
        """Ask for a reading; False if the last one has not come yet."""
        with self._changed:
            if self._asked:
                return False
            self._asked = True
            self._changed.notify_all()
            return True

    def take(self) -> ProbeOutcome | None:
        """The outcome that came since the last call. Raises what the probe raised."""
        with self._changed:
            outcome, self._outcome = self._outcome, None
            error, self._error = self._error, None
        if error is not None:
            raise error
        return outcome

    def _run(self) -> None:
        while self._wait():
            try:
                self._read()
            except Exception as error:  # noqa: BLE001  (handed to the sampler's thread, which raises it)
                self._error = error
            self._asked = False
            self._answered()
        self._shut()

    def _wait(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._asked or self._stopping)
            return not self._stopping

    def _read(self) -> None:
        try:
            if not self._open and not self._find():
                return
            began = clock.monotonic()
            readings = tuple(self._probe.read())
        except ProbeUnavailable as error:
            self._lose(str(error))
            return
        ended = clock.monotonic()
        outcome = ProbeOutcome(
            readings=readings,
            seconds=ended - began,
            at=clock.now(),
            monotonic=ended,
        )
        with self._changed:
            self._outcome = outcome

    def _find(self) -> bool:
        now = clock.monotonic()
        if now < self._look_again:
            return False
        self._probe.open()
        self._open = True
        if self._told:
            log.info("probe is available", probe=self.name)
        return True

    def _lose(self, reason: str) -> None:
        """Said once at debug level if it never was there (most boxes have no GPU), else as a warning."""
        if self._open:
            log.warning("probe is no longer available", probe=self.name, reason=reason)
            self._told = True
        elif not self._told:
            log.debug("probe is not available", probe=self.name, reason=reason)
            self._told = True
        self._shut()
        self._look_again = clock.monotonic() + LOOK_AGAIN_SECONDS

    def _shut(self) -> None:
        if self._open:
            self._open = False
            self._probe.close()
