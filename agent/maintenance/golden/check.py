"""Runs the golden check: records the results at first, then runs the golden images again and compares.

All of them after each opening of the model (a start, a lost GPU), then one at a time, spread over the interval. What
differs is run again before it counts: a result that differs once is logged, one that stays is an alert.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog

from agent import __version__
from agent.alerts.words import stamp
from agent.core import clock
from agent.core.arguments import Handler, check_names
from agent.core.errors import ConfigError
from agent.core.types import Frame, Observation
from agent.core.worker import Worker
from agent.detection import providers
from agent.detection.agreement import LEAST_SCORE
from agent.detection.layouts.layout import Candidates
from agent.detection.session import Detector
from agent.maintenance.golden.images import golden_images
from agent.maintenance.golden.record import Circumstances, GoldenRecord, difference, make_record
from agent.maintenance.golden.store import GoldenStore
from agent.telemetry.probes.host import host_facts

log = structlog.get_logger("vedette.golden")

_POLL_SECONDS = 1.0
_NOTHING_CHANGED = (
    "nothing that is recorded has changed: its file, an engine, memory or the processor may be damaged"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenResult:
    """The outcome so far, at steady time `at`: `state` is "waiting", "agrees", "differs" or "off"."""

    state: str
    reason: str = ""
    at: float = 0.0


class GoldenCheck(Worker):
    """Checks `detector` on all images every `interval` seconds (0: never)."""

    warm_up_seconds = 600.0

    def __init__(self, detector: Detector, state_directory: Path, interval: float) -> None:
        super().__init__("golden")
        self._detector, self._interval = detector, interval
        self._images = golden_images() if interval else ()
        self._store = GoldenStore(state_directory, len(self._images))
        self._result = GoldenResult(state="waiting" if interval else "off")
        self._record: GoldenRecord | None = None
        self._differing: dict[int, str] = {}
        self._opening, self._next, self._due = 0, 0, 0.0
        self._accept = threading.Event()

    @property
    def enabled(self) -> bool:
        """Whether there is anything to do."""
        return self._interval > 0

    @property
    def result(self) -> GoldenResult:
        """The outcome so far; may be read from any thread."""
        return self._result

    def run(self, stop: threading.Event) -> None:
        """Check until `stop` is set."""
        while not stop.wait(_POLL_SECONDS):
            self.beat()
            if self._detector.opened:
                self.attempt("check the golden images", lambda: self.step(clock.now()))

    def step(self, now: float) -> None:
        """Do what is due at `now` (steady time). Raises InferenceError, ModelError, OSError; it is tried again."""
        opening, accepted = self._detector.openings, self._accept.is_set()
        following = now + self._interval / len(self._images)
        if opening != self._opening or accepted:
            self._due = following
            self._begin(opening, accepted=accepted)
            self._opening = opening
            self._accept.clear()
        elif now >= self._due and self._record is not None:
            self._due = following
            self._check(self._record, [self._next], opening)
            self._next = (self._next + 1) % len(self._images)

    def observations(self, at: float) -> list[Observation]:
        """What the rules should know, observed `at` (steady time)."""
        result = self._result
        value = float(result.state == "differs")
        return [Observation(metric="host.golden_mismatch", value=value, at=at, text=result.reason)]

    def handlers(self) -> dict[str, Handler]:
        """The commands `golden` and `golden_accept`."""
        return {"golden": self._report, "golden_accept": self._take_as_right}

    def _report(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        check_names(args)
        result, record = self._result, self._record
        body: dict[str, Any] = {
            "state": result.state,
            "reason": result.reason,
            "every_seconds": self._interval,
        }
        if result.at:
            body["checked_at"] = round(clock.unix(result.at), 3)
        if record is not None:
            body |= {"recorded_at": record.made_at, "recorded_on": record.by.provider, "boxes": record.boxes}
        return body

    def _take_as_right(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        check_names(args)
        if not self.enabled:
            raise ConfigError(
                "is 0: nothing is checked", key="model.golden_every", expected="a duration like 1h"
            )
        self._accept.set()
        return {"text": "the model's present results are taken as right within seconds"}

    # -- in the worker's thread -------------------------------------------------------------------------------

    def _begin(self, opening: int, *, accepted: bool) -> None:
        """The model was opened, or its present results are to be taken as right: find or make the record, check all."""
        model = self._model()
        self._differing, self._record = {}, None if accepted else self._store.find(model)
        if self._record is None:
            made = self._make(model, on_cpu=not accepted)
            if self._detector.openings != opening:
                return  # of two models; the next step begins anew
            self._record = made
            self._store.put(self._record)
            log.info(
                "golden check: the model's results are recorded"
                if self._record.boxes
                else "golden check: the model finds nothing on the fixed images, so it cannot be checked",
                model=self._detector.info.name,
                on=self._record.by.provider,
                boxes=self._record.boxes,
                why="as asked" if accepted else "the model is new here",
            )
        self._check(self._record, range(len(self._images)), opening)

    def _make(self, model: str, *, on_cpu: bool) -> GoldenRecord:
        """The present results; by the CPU where that is asked for: what a GPU gives is judged by it from the first."""
        detector = self._detector
        if on_cpu and not detector.info.threads:
            detector = Detector(replace(detector.settings, provider="cpu", threads=1, lanes=1))
            self.warming = True
            try:
                detector.open()
                found = [self._run(number, detector) for number in range(len(self._images))]
            finally:
                self.warming = False
                detector.close()
        else:
            found = [self._run(number, detector) for number in range(len(self._images))]
        return make_record(model, found, circumstances(detector), round(clock.unix_now(), 3))

    def _check(self, record: GoldenRecord, numbers: Iterable[int], opening: int) -> None:
        by = circumstances(self._detector)
        for number in numbers:
            reason = difference(record, number, self._run(number, self._detector), by)
            if reason:
                again = difference(record, number, self._run(number, self._detector), by)
                if not again:
                    log.warning(
                        "a golden image gave another result once", reason=reason, advice="watch this box"
                    )
                reason = again
            if self._detector.openings != opening:
                return  # the model was exchanged meanwhile; the next step begins anew
            self._differing[number] = reason
        self._conclude(record, by, clock.now())

    def _conclude(self, record: GoldenRecord, by: Circumstances, now: float) -> None:
        found = [reason for reason in self._differing.values() if reason]
        before = self._result.state
        if found:
            changes = record.by.changes(by) or _NOTHING_CHANGED
            reason = f"{found[0]}; since {stamp(record.made_at)}: {changes}"
            self._result = GoldenResult(state="differs", reason=reason, at=now)
            if before != "differs":
                log.error(
                    "the model's results have changed",
                    reason=reason,
                    advice="undo the change, or `vedette model golden --accept` where the new results are right",
                )
        else:
            self._result = GoldenResult(state="agrees", at=now)
            if before == "differs":
                log.info("the model's results agree again")

    def _run(self, number: int, detector: Detector) -> Candidates:
        self.beat()
        frame = Frame(
            camera="golden", index=number, image=self._images[number], captured_at=0.0, monotonic_ns=0
        )
        return detector.propose(frame, confidence=LEAST_SCORE).found

    def _model(self) -> str:
        """What the results depend on by right: where numbers are coarser than fp16, on how each engine rounds, too."""
        info = self._detector.info
        coarse = f" {info.provider} {info.precision}" if info.precision in ("bf16", "int8") else ""
        return f"{info.sha256} {info.layout} {info.input_size[0]}x{info.input_size[1]}{coarse}"


def circumstances(detector: Detector) -> Circumstances:
    """Those of an opened detector."""
    info, settings = detector.info, detector.settings
    beside = not info.threads
    return Circumstances(
        provider=info.provider,
        precision=settings.precision if info.provider == "tensorrt" else "",
        runtime=info.runtime,
        gpu=providers.describe_gpu(settings.device_id) if beside else "",
        cpu="" if beside else str(host_facts()["cpu_model"]),
        agent=__version__,
    )
