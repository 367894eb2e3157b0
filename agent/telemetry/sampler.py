"""Reads every probe once a second, and provides the numbers by second and by window."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from pathlib import Path

import structlog

from agent.config.schema import TelemetrySettings
from agent.core import clock
from agent.core.types import Observation, Scalar
from agent.core.worker import Worker
from agent.telemetry import PROBES, EntitySummary, Probe, Values
from agent.telemetry.probe_thread import ProbeOutcome, ProbeWorker
from agent.telemetry.window import EntityWindow, merge_values

log = structlog.get_logger("vedette.telemetry")

DEADLINE_SECONDS = 0.8
"""How long a round waits for slow probes; their answer then counts in a later round."""

STUCK_SECONDS = 10.0
"""A probe that has been silent for so long is reported as hanging, and its last answer has expired."""


class Sampler(Worker):
    """Every probe in its own thread, asked together every `settings.interval`.

    `take_window`, `latest` and `facts` may be called from other threads.
    """

    def __init__(
        self,
        settings: TelemetrySettings,
        state_directory: Path,
        probes: Mapping[str, Probe] | None = None,
    ) -> None:
        super().__init__("telemetry")
        self._interval = settings.interval
        self._round = threading.Condition()
        if probes is None:
            probes = load_probes(settings, state_directory)
        self._watches = [_Watch(ProbeWorker(name, probe, self._wake)) for name, probe in probes.items()]
        self._lock = threading.Lock()
        self._windows: dict[str, EntityWindow] = {}

    def run(self, stop: threading.Event) -> None:
        """Sample until `stop` is set."""
        for watch in self._watches:
            watch.worker.start()
        try:
            while not stop.is_set():
                began = clock.monotonic()
                self._sample(stop)
                self.beat()
                stop.wait(max(0.0, began + self._interval - clock.monotonic()))
        finally:
            for watch in self._watches:
                watch.worker.stop()

    def take_window(self) -> list[EntitySummary]:
        """The summaries of all entities since the last call; [] if nothing was measured."""
        with self._lock:
            windows, self._windows = self._windows, {}
        return [EntitySummary(entity=entity, values=windows[entity].close()) for entity in sorted(windows)]

    def latest(self) -> list[Observation]:
        """What was measured last, a number each, for rules; nothing of probes that hang."""
        with self._lock:
            entities = _merged([watch.last for watch in self._watches if watch.last is not None])
            at = max((watch.last.at for watch in self._watches if watch.last is not None), default=0.0)
            costs = {
                f"probe_{watch.worker.name}_seconds": watch.last.seconds
                for watch in self._watches
                if watch.last is not None
            }
        entities["host"] = {**entities.get("host", {}), **costs}
        return [one for entity, values in entities.items() for one in observations(entity, values, at)]

    def facts(self) -> Mapping[str, Scalar]:
        """What the probes know of this box that does not change."""
        facts: dict[str, Scalar] = {}
        for watch in self._watches:
            facts.update(watch.worker.facts())
        return facts

    def _sample(self, stop: threading.Event) -> None:
        """One round: ask all, wait for them together, count what came."""
        for watch in self._watches:
            watch.asked = watch.worker.ask()
        with self._round:
            self._round.wait_for(
                lambda: stop.is_set() or not any(watch.worker.busy for watch in self._watches),
                timeout=min(DEADLINE_SECONDS, self._interval),
            )
        now = clock.monotonic()
        fresh = []
        costs: Values = {}
        for watch in self._watches:
            outcome = self._taken(watch.worker)
            costs |= watch.judge(outcome, now)
            if outcome is not None:
                fresh.append(outcome)
        with self._lock:
            for watch in self._watches:
                watch.remove(now)
            for entity, values in _merged(fresh).items():
                self._windows.setdefault(entity, EntityWindow()).add(values)
            if costs:
                self._windows.setdefault("host", EntityWindow()).add(costs)

    def _taken(self, worker: ProbeWorker) -> ProbeOutcome | None:
        try:
            return worker.take()
        except Exception as error:  # noqa: BLE001  (the workers' rule: one probe stops no other)
            self.discard(f"read the probe {worker.name}", error)
            return None

    def _wake(self) -> None:
        with self._round:
            self._round.notify_all()


class _Watch:
    """A worker, and how it has been doing. Belongs to the sampler's thread but for `last`, which has the lock."""

    def __init__(self, worker: ProbeWorker) -> None:
        self.worker = worker
        self.asked = False
        self.last: ProbeOutcome | None = None
        self._failures = 0
        self._silent_since: float | None = None
        self._stuck = False

    def judge(self, outcome: ProbeOutcome | None, now: float) -> Values:
        """Note how the round went; what measuring itself cost, as published."""
        name = self.worker.name
        if outcome is not None:
            self.last = outcome
            self._answered(outcome)
        elif self.worker.busy:
            self._silent(now)
        if outcome is None and not self.worker.busy:  # it has answered that there is nothing to measure
            self._silent_since, self._stuck = None, False
            return {}
        late = outcome is None
        self._failures += late
        values: Values = {
            f"probe_{name}_success_ratio": 0 if late else 1,
            f"probe_{name}_failures_total": self._failures,
        }
        if outcome is not None:
            values[f"probe_{name}_seconds"] = outcome.seconds
        return values

    def remove(self, now: float) -> None:
        """Let go of an answer that is no longer news."""
        if self.last is not None and now - self.last.monotonic > STUCK_SECONDS:
            self.last = None

    def _answered(self, outcome: ProbeOutcome) -> None:
        self._silent_since = None
        if self._stuck:
            self._stuck = False
            log.info("probe answers again", probe=self.worker.name, seconds=round(outcome.seconds, 1))

    def _silent(self, now: float) -> None:
        if self._silent_since is None:
            self._silent_since = now
        if not self._stuck and now - self._silent_since > STUCK_SECONDS:
            self._stuck = True
            log.warning("probe does not answer", probe=self.worker.name, seconds=STUCK_SECONDS)


def load_probes(settings: TelemetrySettings, state_directory: Path) -> dict[str, Probe]:
    """Every probe of the registry that the settings ask for."""
    names = [name for name in PROBES if settings.gpu or name != "nvml"]
    return {name: PROBES.load(name).of(settings, state_directory) for name in names}


def observations(entity: str, values: Mapping[str, float | str], at: float) -> list[Observation]:
    """The numbers of one entity for rules: `cpu_ratio` of `host` is `host.cpu_ratio`.

    `gpu_temperature_celsius` of `gpu/0` is `gpu.temperature_celsius` with the label gpu="0".
    """
    kind, _, index = entity.partition("/")
    labels = {kind: index} if index else {}
    return [
        Observation(
            metric=f"{kind}.{name.removeprefix(f'{kind}_')}",
            value=float(value),
            at=at,
            labels=labels,
            text=str(values.get(_explained_by(name), "")),
            evidence={"gpu_state": values["gpu_state"]}
            if name == "gpu_lost" and "gpu_state" in values
            else {},
        )
        for name, value in values.items()
        if not isinstance(value, str)
    ]


def _explained_by(name: str) -> str:
    """The text that says more about the number `name`; "" for none."""
    if name.startswith("gpu_mig_"):
        return re.sub(r"^(gpu_mig_\d+)_.*", r"\1_name", name)
    return {"throttled": "throttle_reasons", "gpu_lost": "gpu_state_reason"}.get(name, "")


def _merged(outcomes: list[ProbeOutcome]) -> dict[str, Values]:
    """What several probes say, by entity."""
    entities: dict[str, Values] = {}
    for outcome in outcomes:
        for reading in outcome.readings:
            entities[reading.entity] = merge_values(entities.get(reading.entity, {}), reading.values)
    return entities
