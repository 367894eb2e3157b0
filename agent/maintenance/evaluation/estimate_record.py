"""The record of accuracy estimates of each camera over time; an estimate holds until the next one.

A sample of the audit is given the estimate that holds when it is captured; so both are of the same time, and the labels
of the one correct the mean of the other (prediction_powered.py).
"""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import structlog

from agent.core.state_dir import write_atomic
from agent.core.untrusted import BadInput, parse_object, take_number, take_object, take_text
from agent.drift.diagnosis.accuracy import HOLDS_SECONDS, Estimate
from agent.maintenance.evaluation.prediction_powered import Population

log = structlog.get_logger("vedette.evaluation")

FILE_NAME = "estimates.json"
SAVE_SECONDS = 900.0
LEAST_NUMBER = 2.0
"""Independent estimates from which on there is a mean to correct."""

_SUMS = ("since", "last_at", "weight", "squares", "total", "total_squares")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Course:
    """Of one camera and `model`: the `last` estimate (-1: none holds) since `last_at`, and sums over those before of
    seconds, their squares, seconds times the estimate, and times its square. Times are Unix times."""

    model: str
    since: float
    last: float = -1.0
    last_at: float = 0.0
    weight: float = 0.0
    squares: float = 0.0
    total: float = 0.0
    total_squares: float = 0.0

    def held(self, now: float) -> _Course:
        """With the time until `now` in the sums."""
        seconds = min(max(0.0, now - self.last_at), HOLDS_SECONDS)
        if self.last < 0 or not seconds:
            return self
        return replace(
            self,
            weight=self.weight + seconds,
            squares=self.squares + seconds**2,
            total=self.total + seconds * self.last,
            total_squares=self.total_squares + seconds * self.last**2,
        )


class EstimateRecord:
    """Kept in the state directory. Any thread may call."""

    def __init__(self, state_directory: Path) -> None:
        self._path = state_directory / FILE_NAME
        self._lock = threading.Lock()
        self._saved_at = float("-inf")
        self._cameras = self._read()

    def add(self, camera: str, estimate: Estimate, now: float) -> None:
        """What was estimated at `now` (Unix time); with next to no trust it is none."""
        with self._lock:
            known = self._cameras.get(camera)
            if known is None or known.model != estimate.model or now < known.last_at:
                known = _Course(model=estimate.model, since=now)
            last = estimate.ratio if estimate.told else -1.0
            self._cameras[camera] = replace(known.held(now), last=last, last_at=now)
            if not 0 <= now - self._saved_at < SAVE_SECONDS:
                self._saved_at = now
                self._write()

    def at(self, camera: str, model: str, now: float) -> float | None:
        """The estimate of `model` that holds at `now` (Unix time)."""
        with self._lock:
            known = self._cameras.get(camera)
        if known is None or known.model != model or known.last < 0:
            return None
        return known.last if 0 <= now - known.last_at < HOLDS_SECONDS else None

    def populations(self, model: str, now: float) -> dict[str, Population]:
        """The estimates of `model` until `now`, by camera."""
        with self._lock:
            courses = {camera: each.held(now) for camera, each in self._cameras.items()}
        found = {}
        for camera, each in courses.items():
            if each.model != model or not each.weight:
                continue
            number, mean = each.weight**2 / each.squares, each.total / each.weight
            if number >= LEAST_NUMBER:
                variance = max(0.0, each.total_squares / each.weight - mean**2) * number / (number - 1.0)
                found[camera] = Population(since=each.since, mean=mean, variance=variance, number=number)
        return found

    def _write(self) -> None:
        body = {camera: asdict(each) for camera, each in self._cameras.items()}
        try:
            write_atomic(self._path, json.dumps(body).encode())
        except OSError as error:
            log.warning("the record of estimates cannot be written", reason=str(error))

    def _read(self) -> dict[str, _Course]:
        try:
            body = parse_object(self._path.read_bytes())
            return {camera: _course(take_object(body, camera)) for camera in body}  # none holds: nothing ran
        except FileNotFoundError:
            return {}
        except (OSError, BadInput) as error:
            log.warning("the record of estimates cannot be read, starting a new one", reason=str(error))
            return {}


def _course(body: object) -> _Course:
    if not isinstance(body, dict):
        raise BadInput("a camera's estimates are not an object")
    sums = {name: take_number(body, name, minimum=0.0) for name in _SUMS}
    if sums["weight"] and not sums["squares"]:
        raise BadInput("`squares` is nothing of something")
    return _Course(model=take_text(body, "model", longest=64), **sums)
